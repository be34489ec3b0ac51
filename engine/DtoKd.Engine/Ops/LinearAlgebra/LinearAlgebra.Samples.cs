using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration InverseDeclaration => new(nameof(Inverse))
    {
        Samples =
        [
            new("one", [Float(4, 4)], t => Inverse(t[0])),
            new("batch", [Float(2, 2, 3, 3)], t => Inverse(AddIdentity(t[0], 5))),
            new("rows change places", [Positive(3)], t => Inverse(AntiDiagonal(t[0]))),
            new("transposed", [Float(4, 4)], t => Inverse(Transpose(t[0], 0, 1))),
            new("order 1", [Positive(1, 1)], t => Inverse(t[0])),
            new("order 0", [Float(2, 0, 0)], t => Inverse(t[0])),
            new("no matrices", [Float(0, 3, 3)], t => Inverse(t[0])),
        ],
        Errors =
        [
            new("singular", [Float(2, 1, 3)], t => Inverse(Expand(t[0], [2, 3, 3])),
                "inverse: matrix 0 of [2, 3, 3] is singular: pivot 1 is 0"),
            .. SquareErrors(Inverse),
        ],
    };

    internal static OpDeclaration SolveDeclaration => new(nameof(Solve))
    {
        Samples =
        [
            new("one column", [Float(4, 4), Float(4, 1)], t => Solve(t[0], t[1])),
            new("batch", [Float(2, 3, 3), Float(2, 3, 5)], t => Solve(AddIdentity(t[0], 5), t[1])),
            new("rows change places", [Positive(3), Float(3, 2)], t => Solve(AntiDiagonal(t[0]), t[1])),
            new("no columns", [Float(3, 3), Float(3, 0)], t => Solve(t[0], t[1])),
            new("no matrices", [Float(0, 3, 3), Float(0, 3, 2)], t => Solve(t[0], t[1])),
        ],
        Errors =
        [
            new("singular", [Float(1, 3), Float(3, 2)], t => Solve(Expand(t[0], [3, 3]), t[1]),
                "solve: matrix 0 of [3, 3] is singular: pivot 1 is 0"),
            new("rows", [Float(3, 3), Float(2, 3)], t => Solve(t[0], t[1]), "expected [..., n, n] and [..., n, k]"),
            new("a vector on the right", [Float(3, 3), Float(3)], t => Solve(t[0], t[1]), "got shapes [3, 3] and [3]"),
            .. SquareErrors(a => Solve(a, a)),
        ],
    };

    internal static OpDeclaration DeterminantDeclaration => new(nameof(Determinant))
    {
        Samples =
        [
            new("one", [Float(4, 4)], t => Determinant(t[0])),
            new("batch", [Float(2, 2, 3, 3)], t => Determinant(t[0])),
            new("rows change places", [Positive(3)], t => Determinant(AntiDiagonal(t[0]))),
            // Its cofactors are not zero: a row of zeros, and one only.
            new("singular", [Float(3, 4)], t => Determinant(Pad(t[0], [0, 0, 0, 1]))),
            new("order 1", [Float(2, 1, 1)], t => Determinant(t[0])),
            new("order 0", [Float(2, 0, 0)], t => Determinant(t[0])),
        ],
        Errors = SquareErrors(Determinant),
    };

    internal static OpDeclaration CholeskyDeclaration => new(nameof(Cholesky))
    {
        Samples =
        [
            new("one", [Float(4, 4)], t => Cholesky(AddIdentity(MatMul(t[0], Transpose(t[0], -1, -2)), 1))),
            new("batch", [Float(2, 2, 3, 3)], t => Cholesky(AddIdentity(MatMul(t[0], Transpose(t[0], -1, -2)), 1))),
            new("the symmetric part", [Float(3, 3)], t => Cholesky(AddIdentity(t[0], 6))),
            new("order 1", [Positive(1, 1)], t => Cholesky(t[0])),
            new("order 0", [Float(2, 0, 0)], t => Cholesky(t[0])),
        ],
        Errors =
        [
            new("not definite", [Positive(1, 3)], t => Cholesky(Neg(Expand(t[0], [3, 3]))),
                "cholesky: matrix 0 of [3, 3] is not positive definite: pivot 0 is -"),
            .. SquareErrors(Cholesky),
        ],
    };

    internal static OpDeclaration MatrixExpDeclaration => new(nameof(MatrixExp))
    {
        Samples =
        [
            new("one", [Float(4, 4)], t => MatrixExp(t[0])),
            new("batch", [Float(2, 2, 3, 3)], t => MatrixExp(t[0])),
            new("small", [Uniform(-1e-3, 1e-3, [3, 3])], t => MatrixExp(t[0])),
            new("skew", [Float(5, 5)], t => MatrixExp(Sub(t[0], Transpose(t[0], 0, 1)))),
            new("order 1", [Float(2, 1, 1)], t => MatrixExp(t[0])),
            new("order 0", [Float(2, 0, 0)], t => MatrixExp(t[0])),
        ],
        Errors = SquareErrors(MatrixExp),
    };

    internal static OpDeclaration OrthogonalExpDeclaration => Orthogonal(nameof(OrthogonalExp), OrthogonalExp);

    internal static OpDeclaration OrthogonalCayleyDeclaration => Orthogonal(nameof(OrthogonalCayley), OrthogonalCayley);

    private static OpDeclaration Orthogonal(string name, Func<Tensor, int, Tensor> op) => new(name)
    {
        Samples =
        [
            new("some columns", [Float(5, 5)], t => op(t[0], 2)),
            new("all columns of a batch", [Float(2, 3, 3)], t => op(t[0], 3)),
            new("no columns", [Float(3, 3)], t => op(t[0], 0)),
            new("order 1", [Float(1, 1)], t => op(t[0], 1)),
        ],
        Errors =
        [
            new("too many columns", [Float(3, 3)], t => op(t[0], 4), "4 columns of matrices [3, 3], expected 0 .. 3"),
            .. SquareErrors(a => op(a, 1)),
        ],
    };

    private static OpError[] SquareErrors(Func<Tensor, Tensor> op) =>
    [
        new("not square", [Float(2, 3)], t => op(t[0]), "got shape [2, 3], expected square matrices"),
        new("a vector", [Float(3)], t => op(t[0]), "got shape [3], expected square matrices"),
        new("integers", [Index(3, 2, 2)], t => op(t[0]), "needs a float tensor"),
    ];

    private static Tensor AddIdentity(Tensor a, double factor) =>
        Add(a, Affine(Eye(Step.Of("sample", a), a.Shape[^1], a.DType), factor));

    private static Tensor AntiDiagonal(Tensor x) => Flip(Mul(Eye(Step.Of("sample", x), x.Shape[0], x.DType), x), 1);
}
