namespace DtoKd.Engine;

// What the operations on square matrices share. They compute in double precision for F32 tensors too: the matrices are small, and
// a solution in single precision would lose as many digits as the matrix is ill-conditioned. One implementation therefore serves
// both types, and backward rules are written with the engine's own operations on doubles.
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

    /// <summary>A copy in double precision, contiguous, that no tape sees; the caller may let go of it early.</summary>
    private static Tensor Widen(Step step, Tensor x)
    {
        x = Contiguous(Untracked(step, x));
        var y = step.New(x.Shape, DType.F64, "widen");
        if (x.DType == DType.F64)
            x.Span<double>().CopyTo(y.Span<double>());
        else
            System.Numerics.Tensors.TensorPrimitives.ConvertTruncating<float, double>(x.Span<float>(), y.Span<double>());
        return y;
    }

    /// <summary>A copy of doubles in a float type.</summary>
    private static Tensor Narrow(Step step, Tensor x, DType dtype, string op)
    {
        x = Contiguous(x);
        var y = step.New(x.Shape, dtype, op);
        if (dtype == DType.F64)
            x.Span<double>().CopyTo(y.Span<double>());
        else
            System.Numerics.Tensors.TensorPrimitives.ConvertTruncating<double, float>(x.Span<double>(), y.Span<float>());
        return y;
    }

    /// <summary>n x n with ones on the diagonal.</summary>
    private static Tensor Eye(Step step, int n, DType dtype)
    {
        var y = step.Zeros([n, n], dtype);
        for (int i = 0; i < n; i++)
        {
            if (dtype == DType.F64)
                y.Span<double>()[(i * n) + i] = 1;
            else
                y.Span<float>()[(i * n) + i] = 1;
        }

        return y;
    }

    /// <summary>b becomes a^-1 b, matrix by matrix; a is destroyed. Both are F64 and contiguous.</summary>
    private static void SolveInPlace(string op, Tensor a, Tensor b)
    {
        int n = a.Shape[^1], columns = b.Shape[^1];
        double* left = a.Pointer<double>(), right = b.Pointer<double>();
        for (long i = 0; i < Matrices(a.Shape); i++)
        {
            SmallMatrices.Eliminate(left + (i * n * n), n, right + (i * n * columns), columns, out int singular);
            if (singular >= 0)
                throw new ArgumentException($"{op}: matrix {i} of {a.Shape} is singular: pivot {singular} is 0");
        }
    }
}
