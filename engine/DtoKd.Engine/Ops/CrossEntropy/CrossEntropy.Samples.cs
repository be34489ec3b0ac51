using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration CrossEntropyDeclaration => new(nameof(CrossEntropy))
    {
        Samples =
        [
            new("labels", [Float(4, 7), Index(7, 4)], t => CrossEntropy(t[0], t[1])),
            new("smoothed", [Float(4, 19), Index(19, 4)], t => CrossEntropy(t[0], t[1], Reduction.Sum, 0.1)),
            new("each sample", [Float(3, 5), Index(5, 3)], t => CrossEntropy(t[0], t[1], Reduction.None, 0.2)),
            new("dense", [Float(2, 5, 3, 2), Index(5, 2, 3, 2)], t => CrossEntropy(t[0], t[1])),
            new("one sample", [Float(5), Index(5)], t => CrossEntropy(t[0], t[1])),
            new("ignored", [Float(6, 3), Index(3, 6)], t => CrossEntropy(t[0], t[1], ignoreIndex: 1)),
            new("class weights", [Float(6, 3), Index(3, 6)],
                t => CrossEntropy(t[0], t[1], labelSmoothing: 0.1, weight: Ramp(t[0], 3))),
            new("probabilities", [Float(4, 7), Positive(4, 7)], t => CrossEntropy(t[0], t[1])),
            new("smoothed probabilities", [Float(4, 19), Positive(4, 19)], t => CrossEntropy(t[0], t[1], Reduction.None, 0.1)),
            new("dense probabilities", [Float(2, 5, 3), Positive(2, 5, 3)], t => CrossEntropy(t[0], t[1], Reduction.Sum)),
            new("no samples", [Float(0, 3), Index(3, 0)], t => CrossEntropy(t[0], t[1], Reduction.None)),
            new("many", [Float(67, 1003), Index(1003, 67)],
                t => CrossEntropy(t[0], t[1], labelSmoothing: 0.1)) { GradCheck = false },
        ],
        Errors =
        [
            new("label too large", [Float(2, 3), Index(1, 2)],
                t => CrossEntropy(t[0], Labels(t[0], 0, 3)), "label 3 at index 1 is not one of 3 classes"),
            new("label negative", [Float(2, 3), Index(1, 2)],
                t => CrossEntropy(t[0], Labels(t[0], -1, 0)), "label -1 at index 0"),
            new("label shape", [Float(2, 3), Index(3, 3)], t => CrossEntropy(t[0], t[1]), "labels are I64 [3], expected I64 [2]"),
            new("probability shape", [Float(2, 3), Float(3, 3)],
                t => CrossEntropy(t[0], t[1]), "target has shape [3, 3], expected [2, 3]"),
            new("weight shape", [Float(2, 3), Index(3, 2), Float(2)],
                t => CrossEntropy(t[0], t[1], weight: t[2]), "weight has shape [2], expected [3]"),
            new("weight of probabilities", [Float(2, 3), Float(2, 3), Float(3)],
                t => CrossEntropy(t[0], t[1], weight: t[2]), "not with probabilities"),
            new("smoothing", [Float(2, 3), Index(3, 2)], t => CrossEntropy(t[0], t[1], labelSmoothing: 1.5), "smoothing 1.5"),
            new("scalar", [Float(), Index(3)], t => CrossEntropy(t[0], t[1]), "got a scalar"),
        ],
    };

    // 1/2, 1, 3/2, ... of a tensor's step and type, for an input that has no gradient.
    private static Tensor Ramp(Tensor like, int count)
    {
        var values = new double[count];
        for (int i = 0; i < count; i++)
            values[i] = 0.5 * (i + 1);
        return like.DType == DType.F64
            ? like.Step!.From(values, [count])
            : like.Step!.From(Array.ConvertAll(values, value => (float)value), [count]);
    }

    private static Tensor Labels(Tensor like, params long[] labels) => like.Step!.From(labels, [labels.Length]);
}
