using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration SoftmaxDeclaration => SoftmaxLike(nameof(Softmax), Softmax);

    internal static OpDeclaration LogSoftmaxDeclaration => SoftmaxLike(nameof(LogSoftmax), LogSoftmax);

    private static OpDeclaration SoftmaxLike(string name, Func<Tensor, int, Tensor> op) => new(name)
    {
        Samples =
        [
            new("last axis", [Float(3, 19)], t => op(t[0], -1)),
            new("first axis", [Float(5, 19)], t => op(t[0], 0)),
            new("middle axis", [Float(2, 3, 5)], t => op(t[0], 1)),
            new("large values", [Uniform(-60, 60, [4, 9])], t => op(t[0], 1)) { GradCheck = false },
            new("size 1", [Float(4, 1)], t => op(t[0], -1)),
            new("scalar", [Float()], t => op(t[0], 0)),
            new("empty", [Float(0, 3)], t => op(t[0], 1)),
            new("no columns", [Float(2, 3, 0)], t => op(t[0], 1)),
            new("input read twice", [Float(3, 5)], t => op(t[0], -1) * t[0]),
            new("long rows", [Float(9, 2503)], t => op(t[0], -1)) { GradCheck = false },
            new("many columns", [Float(3, 11, 333)], t => op(t[0], 1)) { GradCheck = false },
        ],
        Errors =
        [
            new("no such axis", [Float(2, 3)], t => op(t[0], 2), "no axis 2"),
            new("integers", [Index(3, 4)], t => op(t[0], 0), "needs a float tensor"),
        ],
    };
}
