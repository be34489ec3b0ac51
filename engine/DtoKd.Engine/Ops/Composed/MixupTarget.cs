using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The targets of images mixed with the batch in reverse order: y[i] = lambda s(labels[i]) + (1 - lambda) s(labels[N - 1 - i]),
    /// where s(c) is smoothing / classes everywhere and 1 - smoothing more at class c (Zhang et al., "mixup: Beyond Empirical Risk
    /// Minimization", 2018, with the smoothing and the pairs of timm).
    /// </summary>
    /// <param name="labels">I64 [N]: classes.</param>
    /// <param name="classes">The number of classes.</param>
    /// <param name="lambda">The weight of an image itself, from 0 to 1.</param>
    /// <param name="smoothing">The share that is spread over all classes, from 0 to 1.</param>
    /// <param name="dtype">F32 or F64.</param>
    /// <returns>[N, classes]; each row sums to 1.</returns>
    /// <exception cref="ArgumentException">
    /// Labels of another type or rank or out of range, a weight or share not in 0 .. 1, or no float type.
    /// </exception>
    public static Tensor MixupTarget(
        Tensor labels, int classes, double lambda, double smoothing = 0, DType dtype = DType.F32)
    {
        const string op = "mixup_target";
        if (labels.DType != DType.I64 || labels.Shape.Rank != 1)
            throw new ArgumentException($"{op}: got labels {labels}, expected I64 [N]");
        if (!dtype.IsFloat())
            throw new ArgumentException($"{op}: got type {dtype}, expected F32 or F64");
        if (!(lambda is >= 0 and <= 1 && smoothing is >= 0 and <= 1))
            throw new ArgumentException($"{op}: got lambda {lambda} and smoothing {smoothing}, expected numbers in 0 .. 1");
        var hot = OneHot(labels, classes, dtype);
        var mixed = Add(Affine(hot, lambda), Affine(Flip(hot, 0), 1 - lambda));
        return Affine(mixed, 1 - smoothing, smoothing / classes);
    }

    internal static OpDeclaration MixupTargetDeclaration => new(nameof(MixupTarget))
    {
        Samples =
        [
            new("smoothed", [Index(5, 6)], t => MixupTarget(t[0], 5, 0.3, 0.1)),
            new("an odd batch", [Index(5, 3)], t => MixupTarget(t[0], 5, 0.7)),
            new("no batch", [Index(5, 0)], t => MixupTarget(t[0], 5, 0.7)),
        ],
        Errors =
        [
            new("labels", [Float(3)], t => MixupTarget(t[0], 5, 0.5), "expected I64 [N]"),
            new("range", [Index(4, 2)], t => MixupTarget(Pad(t[0], [0, 1], 4), 4, 0.5), "index 4 at position 2 is not in 0 .. 3"),
            new("lambda", [Index(4, 2)], t => MixupTarget(t[0], 4, 1.5), "lambda 1.5"),
            new("type", [Index(4, 2)], t => MixupTarget(t[0], 4, 0.5, 0, DType.I64), "got type I64"),
        ],
    };
}
