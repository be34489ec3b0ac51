using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration BatchNormDeclaration => new(nameof(BatchNorm))
    {
        Samples =
        [
            Normalising("training", true, 4, 3, 5, 2),
            Normalising("fixed statistics", false, 4, 3, 5, 2),
            Normalising("no plane", true, 6, 5),
            Normalising("no plane, fixed statistics", false, 6, 5),
            Normalising("one sample", true, 1, 2, 19),
            Normalising("one value, fixed statistics", false, 1, 3),
            Normalising("no samples", false, 0, 3, 2),
            Normalising("large", true, 5, 21, 33, 29) with { GradCheck = false },
            Normalising("large, fixed statistics", false, 5, 21, 33, 29) with { GradCheck = false },
            Continuing("relu", true, false, true, 4, 3, 5, 2),
            Continuing("residual", true, true, false, 4, 3, 5, 2),
            Continuing("residual, relu", true, true, true, 4, 3, 5, 2),
            Continuing("residual, relu, no plane", true, true, true, 6, 5),
            Continuing("relu, fixed statistics", false, false, true, 4, 3, 5, 2),
            Continuing("residual, relu, fixed statistics", false, true, true, 4, 3, 5, 2),
            Continuing("large, relu", true, false, true, 5, 21, 33, 29) with { GradCheck = false },
            Continuing("large, residual, relu", true, true, true, 5, 21, 33, 29) with { GradCheck = false },
            new("input added", [Float(4, 3, 5), Float(3)],
                t => BatchNorm(t[0], t[1], null, null, null, training: true, residual: t[0], relu: true)),
            new("residual read twice", [Float(4, 3, 5), Float(3), Float(4, 3, 5)],
                t => BatchNorm(t[0], t[1], null, null, null, training: true, residual: t[2], relu: true) * t[2]),
            new("result read twice", [Float(4, 3, 5), Float(3), Float(4, 3, 5)], t =>
            {
                var y = BatchNorm(t[0], t[1], null, null, null, training: true, residual: t[2], relu: true);
                return y + Exp(y);
            }),
            new("plain", [Float(4, 3, 5)], t => BatchNorm(t[0], null, null, null, null, training: false)),
            new("input read twice", [Float(4, 3, 5), Float(3)],
                t => BatchNorm(t[0], t[1], null, null, null, training: true) * t[0]),
        ],
        Errors =
        [
            new("weight", [Float(2, 3), Float(4)],
                t => BatchNorm(t[0], t[1], null, null, null, true), "weight has shape [4], expected [3]"),
            new("running mean", [Float(2, 3), Float(4)],
                t => BatchNorm(t[0], null, null, t[1], t[1], true), "running mean has shape [4]"),
            new("running variance", [Float(2, 3), Float(3)], t => BatchNorm(t[0], null, null, t[1], null, true), "go together"),
            new("one value", [Float(1, 3)],
                t => BatchNorm(t[0], null, null, null, null, true), "one value per channel in shape [1, 3]"),
            new("residual", [Float(2, 3), Float(3, 2)],
                t => BatchNorm(t[0], null, null, null, null, true, residual: t[1]), "residual has shape [3, 2], expected [2, 3]"),
            new("no channels", [Float(3)],
                t => BatchNorm(t[0], null, null, null, null, true), "needs [N, C, ...], got shape [3]"),
        ],
    };

    private static OpSample Normalising(string label, bool training, params ReadOnlySpan<int> sizes)
    {
        int channels = sizes[1];
        return new(label, [Float(sizes), Float(channels), Float(channels)], t =>
            BatchNorm(t[0], t[1], t[2], Ramp(t[0], channels), Ramp(t[0], channels), training));
    }

    private static OpSample Continuing(string label, bool training, bool residual, bool relu, params ReadOnlySpan<int> sizes)
    {
        int channels = sizes[1];
        OpInput[] inputs = [Float(sizes), Float(channels), Float(channels), .. residual ? [Float(sizes)] : Array.Empty<OpInput>()];
        return new(label, inputs, t => BatchNorm(
            t[0], t[1], t[2], Ramp(t[0], channels), Ramp(t[0], channels), training, residual: residual ? t[3] : null, relu: relu));
    }
}
