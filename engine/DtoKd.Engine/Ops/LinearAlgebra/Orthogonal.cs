namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The first columns of Q = exp(X - X^T), where X is a below its diagonal: columns of length 1 at right angles to each
    /// other, whatever a is (Lezcano-Casado and Martínez-Rubio: "Cheap orthogonal constraints in neural networks", 2019). As a
    /// projection of features it keeps their angles (Miles, Elezi and Deng: "VkD: improving knowledge distillation using orthogonal
    /// projections", 2024).
    /// </summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <param name="columns">How many columns of Q, 0 .. n.</param>
    /// <returns>[..., n, columns].</returns>
    /// <exception cref="ArgumentException">No square matrices, or not so many columns.</exception>
    public static Tensor OrthogonalExp(Tensor a, int columns)
    {
        const string op = "orthogonal_exp";
        RequireColumns(op, a, columns);
        return Slice(MatrixExp(SkewOfLower(op, a)), -1, 0, columns);
    }

    /// <summary>
    /// The first columns of the Cayley map Q = (I - S / 2)^-1 (I + S / 2) with S = X - X^T, where X is a below its diagonal: an
    /// orthogonal matrix without the eigenvalue -1, whatever a is.
    /// </summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <param name="columns">How many columns of Q, 0 .. n.</param>
    /// <returns>[..., n, columns].</returns>
    /// <exception cref="ArgumentException">No square matrices, or not so many columns.</exception>
    public static Tensor OrthogonalCayley(Tensor a, int columns)
    {
        const string op = "orthogonal_cayley";
        int n = RequireColumns(op, a, columns);
        var half = Affine(SkewOfLower(op, a), 0.5);
        var identity = Eye(Step.Of(op, a), n, a.DType);
        return Solve(Sub(identity, half), Slice(Add(identity, half), -1, 0, columns));
    }

    private static int RequireColumns(string op, Tensor a, int columns)
    {
        int n = RequireSquare(op, a);
        if (columns < 0 || columns > n)
            throw new ArgumentException($"{op}: {columns} columns of matrices {a.Shape}, expected 0 .. {n}");
        return n;
    }

    /// <summary>X - X^T, where X is what stands below the diagonal.</summary>
    private static Tensor SkewOfLower(string op, Tensor a)
    {
        var mask = Sides(Step.Of(op, a), a.Shape[^1], DType.Bool, 0, 1, 1);
        var lower = MaskedFill(a, mask, 0);
        return Sub(lower, Transpose(lower, -1, -2));
    }
}
