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
        if (!a.Device.IsHost)
            Gpu.LinearAlgebraGpu.Cholesky(op, factor);
        for (long i = 0; a.Device.IsHost && i < Matrices(a.Shape); i++)
        {
            int column = SmallMatrices.Cholesky(factor.Pointer<double>() + (i * n * n), n, out double pivot);
            if (column >= 0)
                throw NotDefinite(op, a.Shape, i, column, pivot);
        }

        var y = Narrow(step, factor, a.DType, op);
        if (step.Tracks(a))
            step.Record(y, new CholeskyNode(y), a);
        return y;
    }

    internal static ArgumentException NotDefinite(string op, Shape shape, long matrix, long column, double pivot) =>
        new($"{op}: matrix {matrix} of {shape} is not positive definite: pivot {column} is {pivot:g6}, expected > 0");

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
            product = Mul(product, Sides(step, product.Shape[^1], product.DType, 1, 0.5, 0));
            SolveInPlace(Name, Widen(step, upper), product);
            // S^T = L^-T (L^-T P)^T
            var s = Widen(step, Transpose(product, -1, -2));
            SolveInPlace(Name, Widen(step, upper), s);
            var da = Affine(Add(s, Transpose(s, -1, -2)), 0.5);
            into.Give(0, Narrow(step, da, dy.DType, Name));
        }
    }
}
