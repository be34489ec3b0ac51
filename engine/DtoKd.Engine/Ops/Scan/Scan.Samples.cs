namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration CumSumDeclaration => Scanned(nameof(CumSum), CumSum, -2, 2);

    internal static OpDeclaration CumProdDeclaration => Scanned(nameof(CumProd), CumProd, 0.7, 1.3);

    private static OpDeclaration Scanned(string name, Func<Tensor, int, Tensor> op, double low, double high)
    {
        OpSample Sample(string label, Shape shape, int axis) =>
            new(label, [OpInput.Uniform(low, high, shape)], t => op(t[0], axis));
        return new(name)
        {
            Samples =
            [
                Sample("last axis", [3, 7], -1),
                Sample("first axis", [5, 3], 0),
                Sample("middle axis", [2, 4, 3], 1),
                Sample("empty axis", [3, 0], 1),
                Sample("empty", [0, 3], 1),
                Sample("several blocks", [700, 50], 1) with { GradCheck = false },
            ],
            Errors =
            [
                new("no such axis", [OpInput.Float(2, 3)], t => op(t[0], 2), "no axis 2"),
                new("integers", [OpInput.Index(3, 4)], t => op(t[0], 0), "needs a float tensor"),
            ],
        };
    }
}
