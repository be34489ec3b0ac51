using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Operations on small square matrices: a group for each, in double precision in scratch memory. Tensors are contiguous floats
/// [..., n, n].
/// </summary>
internal static class LinearAlgebraGpu
{
    /// <summary>Sets a matrix by the sides of its diagonal.</summary>
    public static void Sides(Tensor y, double below, double on, double above)
    {
        if (y.DType == DType.Bool)
            SidesKernel<byte>.Launch(y, (byte)below, (byte)on, (byte)above);
        else
            SidesKernel<float>.Launch(y, (float)below, (float)on, (float)above);
    }

    /// <summary>b becomes a^-1 b.</summary>
    public static void Solve(string op, Tensor a, Tensor b)
    {
        int n = a.Shape[^1];
        var shape = a.Shape;
        Launch<SolveKernel>(a, b, (long)n * (n + b.Shape[^1]), ((GpuDevice)a.Device).Faults.Guard(
            (op, shape), (_, position) => Op.Singular(op, shape, position / n, position % n)));
    }

    /// <summary>a becomes its factor.</summary>
    public static void Cholesky(string op, Tensor a)
    {
        int n = a.Shape[^1];
        var shape = a.Shape;
        Launch<CholeskyKernel>(a, a, (long)n * n, ((GpuDevice)a.Device).Faults.Guard(
            (op, shape),
            (pivot, position) => Op.NotDefinite(op, shape, position / n, position % n, BitConverter.Int32BitsToSingle((int)pivot))));
    }

    /// <summary>y = det(a) for each matrix.</summary>
    public static void Determinant(Tensor a, Tensor y) =>
        Launch<DeterminantKernel>(a, y, (long)a.Shape[^1] * a.Shape[^1], default);

    /// <summary>y = the cofactors of a: each the determinant of what is left when its row and column are crossed out.</summary>
    public static void Cofactors(Step step, Tensor a, Tensor y)
    {
        int n = a.Shape[^1];
        if (n <= 1)
        {
            y.Fill(1);
            return;
        }

        using var minors = step.New([checked((int)y.Count), n - 1, n - 1], y.DType, "determinant");
        GridStride.Launch<MinorsKernel, MinorsKernel.Args>((GpuDevice)a.Device, minors.Count, new()
        {
            A = GpuDevice.View<float>(a),
            Y = GpuDevice.View<float>(minors),
            Order = n,
            Count = checked((int)minors.Count),
        });
        Determinant(minors, y);
    }

    /// <summary>y = exp(a).</summary>
    public static void Exp(Tensor a, Tensor y) => Launch<ExpKernel>(a, y, 3L * a.Shape[^1] * a.Shape[^1], default);

    /// <summary>dy becomes da.</summary>
    public static void ExpBackward(Tensor a, Tensor dy) => Launch<ExpBackwardKernel>(a, dy, 12L * a.Shape[^1] * a.Shape[^1], default);

    private static void Launch<TKernel>(Tensor a, Tensor b, long scratch, IndexGuard guard)
        where TKernel : struct, IKernel<MatrixArgs>
    {
        int n = a.Shape[^1];
        long matrices = a.Shape.CountOf(0, a.Shape.Rank - 2);
        if (matrices == 0 || b.Count == 0)
            return;
        var device = (GpuDevice)a.Device;
        var room = device.Pool.Rent(Math.Max(1, matrices * scratch) * sizeof(double), "matrices");
        // A warp is enough for the rows of most matrices. Which threads do what does not change the numbers.
        device.Launcher.Launch<TKernel, MatrixArgs>(matrices, n <= RowTeam.WarpSize ? RowTeam.WarpSize : device.GroupSize, new()
        {
            A = GpuDevice.View<float>(a),
            B = GpuDevice.View<float>(b),
            Scratch = device.View<double>(room, 0, matrices * scratch),
            PerMatrix = scratch,
            Order = n,
            Columns = b.Shape.Rank > 0 ? b.Shape[^1] : 1,
            Guard = guard,
        });
        room.Release();
    }
}

internal struct MatrixArgs
{
    public ArrayView<float> A, B;
    public ArrayView<double> Scratch;

    /// <summary>Doubles of scratch memory for a matrix.</summary>
    public long PerMatrix;

    public int Order, Columns;
    public IndexGuard Guard;

    /// <summary>Room for a square matrix of this group after so many doubles.</summary>
    public readonly GroupMatrix Room(int after, int order) => Room(after, order, order);

    public readonly GroupMatrix Room(int after, int rows, int columns) =>
        new(Scratch, (Grid.IdxX * PerMatrix) + after, rows, columns);

    /// <summary>This group's matrix among those of floats.</summary>
    public readonly long At(int columns) => (long)Grid.IdxX * Order * columns;
}

internal readonly struct SolveKernel : IKernel<MatrixArgs>
{
    public static void Run(MatrixArgs args)
    {
        int n = args.Order;
        GroupMatrix a = args.Room(0, n), b = args.Room(n * n, n, args.Columns);
        a.Load(args.A, args.At(n));
        b.Load(args.B, args.At(args.Columns));
        var result = GroupMatrices.Eliminate(a, b);
        b.Store(args.B, args.At(args.Columns));
        if (result.Singular >= 0 && Group.IdxX == 0)
            args.Guard.Note(0, (Grid.IdxX * n) + result.Singular);
    }
}

internal readonly struct CholeskyKernel : IKernel<MatrixArgs>
{
    public static void Run(MatrixArgs args)
    {
        int n = args.Order;
        var a = args.Room(0, n);
        a.Load(args.A, args.At(n));
        double failed = 1;
        int column = GroupMatrices.Cholesky(a, ref failed);
        a.Store(args.A, args.At(n));
        if (column >= 0 && Group.IdxX == 0)
            args.Guard.Note((int)Interop.FloatAsInt((float)failed), (Grid.IdxX * n) + column);
    }
}

internal readonly struct DeterminantKernel : IKernel<MatrixArgs>
{
    public static void Run(MatrixArgs args)
    {
        int n = args.Order;
        var a = args.Room(0, n);
        a.Load(args.A, args.At(n));
        var result = GroupMatrices.Eliminate(a, args.Room(0, n, 0));
        if (Group.IdxX == 0)
            args.B[Grid.IdxX] = (float)result.Determinant;
    }
}

/// <summary>
/// For each element of a matrix, the matrix without its row and column, the first row negated where the cofactor's sign is
/// minus.
/// </summary>
internal readonly struct MinorsKernel : IKernel<MinorsKernel.Args>
{
    public static void Run(Args args)
    {
        int n = args.Order, left = n - 1;
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int element = i / (left * left), at = i - (element * left * left);
            int matrix = element / (n * n), crossed = element - (matrix * n * n);
            int row = crossed / n, column = crossed - (row * n);
            int r = at / left, c = at - (r * left);
            float value = args.A[(matrix * n * n) + ((r < row ? r : r + 1) * n) + (c < column ? c : c + 1)];
            args.Y[i] = r == 0 && (row + column) % 2 != 0 ? -value : value;
        }
    }

    internal struct Args
    {
        public ArrayView<float> A, Y;
        public int Order, Count;
    }
}

internal readonly struct ExpKernel : IKernel<MatrixArgs>
{
    public static void Run(MatrixArgs args)
    {
        int n = args.Order, count = n * n;
        var a = args.Room(0, n);
        a.Load(args.A, args.At(n));
        GroupMatrices.Exp(a, args.Room(count, n), args.Room(2 * count, n)).Store(args.B, args.At(n));
    }
}

/// <summary>B, the gradient of the result, becomes the upper right block of exp([[a^T, B], [0, a^T]]).</summary>
internal readonly struct ExpBackwardKernel : IKernel<MatrixArgs>
{
    public static void Run(MatrixArgs args)
    {
        int n = args.Order, width = 2 * n, count = width * width;
        long at = args.At(n);
        // The rule is linear in B. As large as 1 it does not raise the number of squarings, which cost digits.
        float largest = 0;
        for (int e = Group.IdxX; e < n * n; e += Group.DimX)
            largest = Ptx.Max(largest, Ptx.Abs(args.B[at + e]));
        largest = GroupFold.Of<Op.LargerOf>(largest);
        if (largest == 0)
            return;
        var block = args.Room(0, width);
        for (int e = Group.IdxX; e < count; e += Group.DimX)
        {
            int row = e / width, column = e - (row * width);
            int i = row < n ? row : row - n, j = column < n ? column : column - n;
            double value = row < n && column >= n ? (double)args.B[at + (i * n) + j] / largest : args.A[at + (j * n) + i];
            block[row, column] = row >= n && column < n ? 0 : value;
        }

        Group.Barrier();
        var result = GroupMatrices.Exp(block, args.Room(count, width), args.Room(2 * count, width));
        for (int e = Group.IdxX; e < n * n; e += Group.DimX)
            args.B[at + e] = (float)(result[e / n, n + (e % n)] * largest);
    }
}

/// <summary>y = one number below the diagonal, one on it and one above.</summary>
internal readonly struct SidesKernel<T> : IKernel<SidesKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int e = GridStride.First; e < args.Order * args.Order; e += GridStride.Step)
        {
            int row = e / args.Order, column = e - (row * args.Order);
            args.Y[e] = row > column ? args.Below : row == column ? args.On : args.Above;
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor y, T below, T on, T above) =>
        GridStride.Launch<SidesKernel<T>, Args>(
            (GpuDevice)y.Device, y.Count, new() { Y = GpuDevice.View<T>(y), Below = below, On = on, Above = above, Order = y.Shape[^1] });

    internal struct Args
    {
        public ArrayView<T> Y;
        public T Below, On, Above;
        public int Order;
    }
}
