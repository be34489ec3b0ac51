namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// y = exp(a) = I + a + a^2 / 2 + ..., by scaling and squaring, in double precision for either type. The exponential of a
    /// skew matrix (a^T = -a) is orthogonal.
    /// </summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <returns>[..., n, n]; not a number where a matrix is not finite.</returns>
    /// <exception cref="ArgumentException">No square matrices.</exception>
    public static Tensor MatrixExp(Tensor a)
    {
        const string op = "matrix_exp";
        var step = Step.Of(op, a);
        RequireSquare(op, a);
        using var power = Widen(step, a);
        using var result = step.New(a.Shape, power.DType, op);
        if (a.Device.IsHost)
            Exp(step, power, result);
        else
            Gpu.LinearAlgebraGpu.Exp(power, result);
        var y = Narrow(step, result, a.DType, op);
        if (step.Tracks(a))
            step.Record(y, new MatrixExpNode(a), a);
        return y;
    }

    private static void Exp(Step step, Tensor power, Tensor result)
    {
        int n = power.Shape[^1];
        using var work = step.New([n, n], DType.F64, "matrix_exp");
        for (long i = 0; i < Matrices(power.Shape); i++)
        {
            long at = i * n * n;
            SmallMatrices.Exp(power.Pointer<double>() + at, result.Pointer<double>() + at, work.Pointer<double>(), n);
        }
    }

    /// <summary>
    /// da is the upper right block of exp([[a^T, dy], [0, a^T]]) (Mathias: "A chain rule for matrix functions and
    /// applications", 1996).
    /// </summary>
    private sealed class MatrixExpNode : Node
    {
        private readonly Tensor _a;

        public MatrixExpNode(Tensor a) => _a = Save(a);

        public override string Name => "matrix_exp";

        public override void Backward(Tensor dy, Gradients into)
        {
            var step = into.Step;
            Tensor a = Widen(step, _a), da = Widen(step, dy);
            if (a.Device.IsHost)
                Backward(step, a, da);
            else
                Gpu.LinearAlgebraGpu.ExpBackward(a, da);
            into.Give(0, Narrow(step, da, dy.DType, Name));
        }

        private void Backward(Step step, Tensor a, Tensor da)
        {
            int n = a.Shape[^1];
            var work = step.New([3, 2 * n, 2 * n], DType.F64, Name);
            for (long i = 0; i < Matrices(a.Shape); i++)
                Backward(a.Pointer<double>() + (i * n * n), da.Pointer<double>() + (i * n * n), work.Pointer<double>(), n);
        }

        private static void Backward(double* a, double* gradient, double* work, int n)
        {
            // The rule is linear in dy. As large as 1 it does not raise the number of squarings, which cost digits.
            double largest = 0;
            for (int i = 0; i < n * n; i++)
                largest = Math.Max(largest, Math.Abs(gradient[i]));
            if (largest == 0)
                return;
            int width = 2 * n, count = width * width;
            double* block = work, result = work + count;
            new Span<double>(block, count).Clear();
            for (int row = 0; row < n; row++)
            {
                for (int column = 0; column < n; column++)
                {
                    double value = a[(column * n) + row];
                    block[(row * width) + column] = value;
                    block[((n + row) * width) + n + column] = value;
                    block[(row * width) + n + column] = gradient[(row * n) + column] / largest;
                }
            }

            SmallMatrices.Exp(block, result, work + (2 * count), width);
            for (int row = 0; row < n; row++)
            {
                for (int column = 0; column < n; column++)
                    gradient[(row * n) + column] = result[(row * width) + n + column] * largest;
            }
        }
    }
}
