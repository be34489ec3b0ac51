namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// The lower triangular L with a positive diagonal and L L^T = a, in double precision for either type. Of an a that is not
    /// symmetric, the symmetric part (a + a^T) / 2 is factored, so that the gradient is symmetric.
    /// </summary>
    /// <param name="a">Small symmetric positive definite matrices [..., n, n].</param>
    /// <returns>[..., n, n], zeros above the diagonal.</returns>
    /// <exception cref="ArgumentException">No square matrices, or one is not positive definite: the message names matrix and
    /// pivot.</exception>
    public static Tensor Cholesky(Tensor a)
    {
        const string op = "cholesky";
        var step = Step.Of(op, a);
        int n = RequireSquare(op, a);
        using var factor = Widen(step, a);
        for (long i = 0; i < Matrices(a.Shape); i++)
        {
            int column = SmallMatrices.Cholesky(factor.Pointer<double>() + (i * n * n), n, out double pivot);
            if (column >= 0)
            {
                throw new ArgumentException(
                    $"{op}: matrix {i} of {a.Shape} is not positive definite: pivot {column} is {pivot:g6}, expected > 0");
            }
        }

        var y = Narrow(step, factor, a.DType, op);
        if (step.Tracks(a))
            step.Record(y, new CholeskyNode(y), a);
        return y;
    }

    /// <summary>
    /// da = (S + S^T) / 2 with S = L^-T P L^-1, where P is the lower triangle of L^T dL with its diagonal halved (Murray:
    /// "Differentiation of the Cholesky decomposition", 2016, section 3.1).
    /// </summary>
    private sealed class CholeskyNode : Node
    {
        private readonly Tensor _factor;

        public CholeskyNode(Tensor factor) => _factor = Save(factor);

        public override string Name => "cholesky";

        public override void Backward(Tensor dy, Gradients into)
        {
            var step = into.Step;
            var upper = Transpose(Widen(step, _factor), -1, -2);
            var product = MatMul(upper, Widen(step, dy));
            HalveAndClear(product);
            SolveInPlace(Name, Widen(step, upper), product);
            // S^T = L^-T (L^-T P)^T
            var s = Widen(step, Transpose(product, -1, -2));
            SolveInPlace(Name, Widen(step, upper), s);
            var da = Affine(Add(s, Transpose(s, -1, -2)), 0.5);
            into.Give(0, Narrow(step, da, dy.DType, Name));
        }

        private static void HalveAndClear(Tensor matrices)
        {
            int n = matrices.Shape[^1];
            for (long i = 0; i < Matrices(matrices.Shape); i++)
            {
                for (int row = 0; row < n; row++)
                {
                    double* from = matrices.Pointer<double>() + (((i * n) + row) * n);
                    from[row] *= 0.5;
                    new Span<double>(from + row + 1, n - row - 1).Clear();
                }
            }
        }
    }
}
