namespace DtoKd.Engine;

// What the operations on square matrices share. They compute in double precision for F32 tensors too: the matrices are small, and
// a solution in single precision would lose as many digits as the matrix is ill-conditioned. On the host one implementation
// therefore serves both types, and backward rules are written with the engine's own operations on doubles. On a GPU what solves and
// factors is in double inside its kernel; between the kernels the numbers are floats, since the other operations have no kernels for
// doubles.
public static unsafe partial class Op
{
    private static int RequireSquare(string op, Tensor a)
    {
        Pointwise.RequireFloat(op, a);
        if (a.Shape.Rank < 2 || a.Shape[^1] != a.Shape[^2])
            throw new ArgumentException($"{op}: got shape {a.Shape}, expected square matrices [..., n, n]");
        return a.Shape[^1];
    }

    /// <summary>The number of matrices of a batch.</summary>
    private static long Matrices(Shape shape) => shape.CountOf(0, shape.Rank - 2);

    /// <summary>The type between the parts of an operation.</summary>
    private static DType WideType(Tensor x) => x.Device.IsHost ? DType.F64 : x.DType;

    /// <summary>A copy of <see cref="WideType"/>, contiguous, that no tape sees; the caller may let go of it early.</summary>
    private static Tensor Widen(Step step, Tensor x)
    {
        x = Contiguous(Untracked(step, x));
        var y = step.New(x.Shape, WideType(x), "widen");
        if (x.DType == y.DType)
            Copy(x, y, accumulate: false);
        else
            System.Numerics.Tensors.TensorPrimitives.ConvertTruncating<float, double>(x.Span<float>(), y.Span<double>());
        return y;
    }

    /// <summary>A copy of what <see cref="WideType"/> numbers came to, in the tensor's own type.</summary>
    private static Tensor Narrow(Step step, Tensor x, DType dtype, string op)
    {
        x = Contiguous(x);
        var y = step.New(x.Shape, dtype, op);
        if (dtype == x.DType)
            Copy(x, y, accumulate: false);
        else
            System.Numerics.Tensors.TensorPrimitives.ConvertTruncating<double, float>(x.Span<double>(), y.Span<float>());
        return y;
    }

    /// <summary>n x n with one number below the diagonal, one on it and one above; F32, F64, or Bool where 1 is set.</summary>
    private static Tensor Sides(Step step, int n, DType dtype, double below, double on, double above)
    {
        var y = step.New([n, n], dtype, "sides");
        if (!y.Device.IsHost)
        {
            Gpu.LinearAlgebraGpu.Sides(y, below, on, above);
            return y;
        }

        for (int row = 0; row < n; row++)
        {
            for (int column = 0; column < n; column++)
            {
                double value = row > column ? below : row == column ? on : above;
                int at = (row * n) + column;
                if (dtype == DType.F64)
                    y.Pointer<double>()[at] = value;
                else if (dtype == DType.F32)
                    y.Pointer<float>()[at] = (float)value;
                else
                    y.Pointer<bool>()[at] = value == 1;
            }
        }

        return y;
    }

    private static Tensor Eye(Step step, int n, DType dtype) => Sides(step, n, dtype, 0, 1, 0);

    /// <summary>b becomes a^-1 b, matrix by matrix; a is destroyed. Both are of <see cref="WideType"/> and contiguous.</summary>
    private static void SolveInPlace(string op, Tensor a, Tensor b)
    {
        if (!a.Device.IsHost)
        {
            Gpu.LinearAlgebraGpu.Solve(op, a, b);
            return;
        }

        int n = a.Shape[^1], columns = b.Shape[^1];
        double* left = a.Pointer<double>(), right = b.Pointer<double>();
        for (long i = 0; i < Matrices(a.Shape); i++)
        {
            SmallMatrices.Eliminate(left + (i * n * n), n, right + (i * n * columns), columns, out int singular);
            if (singular >= 0)
                throw Singular(op, a.Shape, i, singular);
        }
    }

    internal static ArgumentException Singular(string op, Shape shape, long matrix, long pivot) =>
        new($"{op}: matrix {matrix} of {shape} is singular: pivot {pivot} is 0");
}
