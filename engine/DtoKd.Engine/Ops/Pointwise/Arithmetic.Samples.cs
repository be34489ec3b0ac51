using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration AddDeclaration => Broadcasting(nameof(Add), Add, Float(1), Float(1));

    internal static OpDeclaration SubDeclaration => Broadcasting(nameof(Sub), Sub, Float(1), Float(1));

    internal static OpDeclaration MulDeclaration => Broadcasting(nameof(Mul), Mul, Float(1), Float(1));

    internal static OpDeclaration DivDeclaration => Broadcasting(nameof(Div), Div, Float(1), Positive(1));

    internal static OpDeclaration AffineDeclaration => new(nameof(Affine))
    {
        Samples = [new("3 x 5", [Float(3, 5)], t => Affine(t[0], -1.5, 0.25))],
    };

    /// <summary>The samples of an operation on two tensors that broadcast, with values from the ranges of two inputs.</summary>
    private static OpDeclaration Broadcasting(string name, Func<Tensor, Tensor, Tensor> op, OpInput a, OpInput b)
    {
        OpSample Sample(string label, Shape x, Shape y) => new(label, [a with { Shape = x }, b with { Shape = y }], t => op(t[0], t[1]));
        return new(name)
        {
            Samples =
            [
                Sample("same shape", [3, 5], [3, 5]),
                Sample("odd length", [1037], [1037]),
                Sample("last axis", [4, 3, 17], [17]),
                Sample("middle axis", [2, 3, 5], [3, 1]),
                Sample("each row", [3, 4, 7, 5], [3, 4, 1, 1]),
                Sample("each row, long", [2, 3, 2600], [2, 3, 1]),
                new("each row, both read twice", [a with { Shape = [3, 4, 7] }, b with { Shape = [3, 4, 1] }],
                    t => op(op(t[0], t[1]) * t[0], t[1])),
                Sample("both ways", [4, 1, 6], [3, 1]),
                Sample("scalar", [2, 9], []),
                Sample("scalars", [], []),
                Sample("six axes", [2, 1, 2, 1, 3, 2], [2, 2, 1, 3, 1]),
                Sample("empty", [0, 3], [3]),
            ],
            Errors =
            [
                new("shapes", [a with { Shape = [2, 3] }, b with { Shape = [4] }], t => op(t[0], t[1]), "[2, 3] and [4] do not broadcast"),
                new("types", [a, Index(3, 1)], t => op(t[0], t[1]), "types F32 and I64"),
            ],
        };
    }
}
