using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration MatMulDeclaration => new(nameof(MatMul))
    {
        Samples =
        [
            Product("matrices", Float(5, 7), Float(7, 3)),
            Product("vectors", Float(9), Float(9)),
            Product("matrix times vector", Float(4, 9), Float(9)),
            Product("vector times matrix", Float(9), Float(9, 4)),
            Product("batch times vector", Float(2, 4, 9), Float(9)),
            Product("vector times batch", Float(9), Float(2, 9, 4)),
            Product("batch", Float(3, 2, 5), Float(3, 5, 4)),
            Product("batch times matrix", Float(2, 3, 4, 5), Float(5, 6)),
            Product("matrix times batch", Float(4, 5), Float(3, 5, 2)),
            Product("batch axes both ways", Float(2, 1, 3, 4), Float(3, 4, 2)),
            Product("batch of size 1", Float(1, 3, 4), Float(2, 4, 2)),
            Product("rows of one", Float(6, 1, 4), Float(4, 3)),
            Product("nothing to sum", Float(2, 0), Float(0, 3)),
            Product("empty batch", Float(0, 2, 3), Float(3, 4)),
            new("transposed left", [Float(7, 5), Float(7, 3)], t => MatMul(Transpose(t[0], 0, 1), t[1])),
            new("transposed right", [Float(2, 5, 7), Float(2, 3, 7)], t => MatMul(t[0], Transpose(t[1], -1, -2))),
            // A row of one number a step: its lines and its steps are both one element apart.
            new("a column as the left row", [Float(131, 1), Float(67, 131)],
                t => MatMul(Transpose(t[0], 0, 1), Transpose(t[1], 0, 1))) { GradCheck = false },
            new("heads", [Float(2, 5, 3, 4), Float(2, 6, 3, 4)],
                t => MatMul(Permute(t[0], 0, 2, 1, 3), Permute(t[1], 0, 2, 3, 1))),
            new("with itself", [Float(4, 4)], t => MatMul(t[0], t[0])),
            Product("large", Float(3, 70, 300), Float(300, 90)) with { GradCheck = false },
            Product("large batch", Float(40, 33, 20), Float(40, 20, 37)) with { GradCheck = false },
        ],
        Errors =
        [
            new("inner sizes", [Float(2, 3), Float(2, 3)], t => MatMul(t[0], t[1]), "[2, 3] times [2, 3]: the inner"),
            new("leading axes", [Float(2, 3, 4), Float(3, 4, 2)], t => MatMul(t[0], t[1]), "do not broadcast"),
            new("scalar", [Float(), Float(3)], t => MatMul(t[0], t[1]), "at least one axis"),
            new("integers", [Index(3, 2, 2), Float(2, 2)], t => MatMul(t[0], t[1]), "needs a float tensor"),
        ],
    };

    private static OpSample Product(string label, OpInput a, OpInput b) => new(label, [a, b], t => MatMul(t[0], t[1]));
}
