using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration MseLossDeclaration => ElementLossLike(nameof(MseLoss), MseLoss);

    internal static OpDeclaration L1LossDeclaration => ElementLossLike(nameof(L1Loss), L1Loss);

    internal static OpDeclaration SmoothL1LossDeclaration =>
        ElementLossLike(nameof(SmoothL1Loss), (x, y, reduction) => SmoothL1Loss(x, y, 0.7, reduction)) with
        {
            Errors = [new("beta", [Float(2), Float(2)], t => SmoothL1Loss(t[0], t[1], -1), "beta -1")],
        };

    internal static OpDeclaration HuberLossDeclaration =>
        ElementLossLike(nameof(HuberLoss), (x, y, reduction) => HuberLoss(x, y, 0.7, reduction)) with
        {
            Errors = [new("delta", [Float(2), Float(2)], t => HuberLoss(t[0], t[1], 0), "delta 0")],
        };

    internal static OpDeclaration NllLossDeclaration => new(nameof(NllLoss))
    {
        Samples =
        [
            new("mean", [Float(4, 7), Index(7, 4)], t => NllLoss(t[0], t[1])),
            new("ignored", [Float(6, 3), Index(3, 6)], t => NllLoss(t[0], t[1], Reduction.Sum, 1)),
            new("dense", [Float(2, 5, 3), Index(5, 2, 3)], t => NllLoss(t[0], t[1], Reduction.None)),
            new("class weights", [Float(6, 3), Index(3, 6)], t => NllLoss(t[0], t[1], weight: Ramp(t[0], 3))),
        ],
        Errors =
        [
            new("label", [Float(1, 3), Index(1, 1)],
                t => NllLoss(t[0], Labels(t[0], 3)), "label 3 at index 0 is not one of 3 classes"),
            new("types", [Float(1, 3), Float(1)], t => NllLoss(t[0], t[1]), "labels are F32 [1], expected I64 [1]"),
        ],
    };

    internal static OpDeclaration BceWithLogitsDeclaration => new(nameof(BceWithLogits))
    {
        Samples =
        [
            new("mean", [Float(3, 7), Uniform(0, 1, [3, 7])], t => BceWithLogits(t[0], t[1])),
            new("each element", [Float(3, 7), Uniform(0, 1, [3, 7])], t => BceWithLogits(t[0], t[1], Reduction.None)),
            new(
                "weights",
                [Float(3, 7), Uniform(0, 1, [3, 7]), Positive(3, 1), Positive(7)],
                t => BceWithLogits(t[0], t[1], Reduction.Sum, t[2], t[3])),
            new("large logits", [Uniform(-80, 80, [9]), Uniform(0, 1, [9])], t => BceWithLogits(t[0], t[1], Reduction.None)),
        ],
        Errors =
        [
            new("shapes", [Float(3), Float(3, 1)], t => BceWithLogits(t[0], t[1]), "target has shape [3, 1], expected [3]"),
            new("weight", [Float(3), Float(3), Float(2, 3)],
                t => BceWithLogits(t[0], t[1], weight: t[2]), "does not broadcast to [3]"),
        ],
    };

    internal static OpDeclaration SigmoidFocalLossDeclaration => new(nameof(SigmoidFocalLoss))
    {
        Samples =
        [
            new("mean", [Float(3, 7), Uniform(0, 1, [3, 7])], t => SigmoidFocalLoss(t[0], t[1])),
            new("no alpha", [Float(3, 7), Uniform(0, 1, [3, 7])], t => SigmoidFocalLoss(t[0], t[1], -1, 1.5, Reduction.Sum)),
            new("gamma 0", [Float(3, 7), Uniform(0, 1, [3, 7])], t => SigmoidFocalLoss(t[0], t[1], 0.6, 0, Reduction.None)),
            new("uneven gamma", [Float(3, 7), Uniform(0, 1, [3, 7])],
                t => SigmoidFocalLoss(t[0], t[1], 0.6, 0.3, Reduction.None)),
        ],
        Errors =
        [
            new("shapes", [Float(3), Float(3, 1)], t => SigmoidFocalLoss(t[0], t[1]), "y has shape [3, 1], expected [3]"),
            new("gamma", [Float(3), Float(3)], t => SigmoidFocalLoss(t[0], t[1], gamma: -1), "gamma -1"),
        ],
    };

    internal static OpDeclaration KlDivDeclaration => new(nameof(KlDiv))
    {
        Samples =
        [
            new("mean", [Float(3, 7), Positive(3, 7)], t => KlDiv(t[0], t[1])),
            new("sum", [Float(3, 7), Positive(3, 7)], t => KlDiv(t[0], t[1], Reduction.Sum)),
            new("each element", [Float(3, 7), Positive(3, 7)], t => KlDiv(t[0], t[1], Reduction.None)),
        ],
        Errors = [new("shapes", [Float(3), Float(3, 1)], t => KlDiv(t[0], t[1]), "target has shape [3, 1], expected [3]")],
    };

    private static OpDeclaration ElementLossLike(string name, Func<Tensor, Tensor, Reduction, Tensor> op) => new(name)
    {
        Samples =
        [
            new("mean", [Float(3, 7), Float(3, 7)], t => op(t[0], t[1], Reduction.Mean)),
            new("sum", [Float(3, 7), Float(3, 7)], t => op(t[0], t[1], Reduction.Sum)),
            new("each element", [Float(3, 7), Float(3, 7)], t => op(t[0], t[1], Reduction.None)),
            new("one tensor twice", [Float(2, 3)], t => op(t[0], Affine(t[0], 2, 0.3), Reduction.Mean)),
            new("long", [Float(5, 4001), Float(5, 4001)], t => op(t[0], t[1], Reduction.Mean)) { GradCheck = false },
        ],
        Errors = [new("shapes", [Float(3), Float(3, 1)],
            t => op(t[0], t[1], Reduction.Mean), "y has shape [3, 1], expected [3]")],
    };
}
