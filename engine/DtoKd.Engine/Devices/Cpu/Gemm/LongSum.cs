using System.Numerics.Tensors;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The gradient of a small weight, dW = dyᵀ x over very many rows: C has too few tiles for the threads, which would each read the
/// operands in narrow strips. Instead K is cut into pieces, each a product of whole rows with a C of its own, and these are
/// added in order.
/// </summary>
internal readonly unsafe struct LongSum
{
    // Enough for 16 threads. The pieces follow from the shape alone, so that a sum is the same for any number of threads.
    private const int Pieces = 16;

    // Shorter pieces would spend more on their own C than they gain by reading whole rows.
    private const int Shortest = Pieces * 384;

    // A C of 160 KiB stays in the L2 beside the rows; a larger one has tiles enough.
    private const int LargestResult = 40_000;

    private const int ElementsPerTask = 4096;

    [ThreadStatic]
    private static float[]? _buffer;

    private readonly SimdLevel _simd;
    private readonly int _m;
    private readonly int _n;
    private readonly int _k;
    private readonly MatrixView _a;
    private readonly MatrixView _b;
    private readonly float* _c;
    private readonly long _cStride;
    private readonly GemmEpilogue _epilogue;
    private readonly float* _sums;
    private readonly int _rowsPerTask;

    private LongSum(
        SimdLevel simd, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue)
    {
        _simd = simd;
        _m = m;
        _n = n;
        _k = k;
        _a = a;
        _b = b;
        _c = c;
        _cStride = cStride;
        _epilogue = epilogue;
        _sums = PackBuffers.Aligned(ref _buffer, (long)Pieces * m * n);
        _rowsPerTask = Math.Max(1, ElementsPerTask / n);
    }

    private int AddTasks => (_m + _rowsPerTask - 1) / _rowsPerTask;

    /// <summary>Whether a product is one: long, small, both operands read along their rows, and nothing done to the sums.</summary>
    public static bool Fits(int m, int n, int k, MatrixView a, MatrixView b, in GemmEpilogue epilogue) =>
        k >= Shortest && m > 0 && n > 0 && (long)m * n <= LargestResult && a.RowStride == 1 && b.ColumnStride == 1
        && epilogue.Bias == null && epilogue.Finish == null;

    /// <inheritdoc cref="Gemm.Run"/>
    public static void Share(
        CpuDevice device, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, GemmEpilogue epilogue)
    {
        var sum = new LongSum(device.Simd, m, n, k, a, b, c, cStride, epilogue);
        device.Team.For(Pieces, sum.Multiply);
        device.Team.For(sum.AddTasks, sum.Add);
    }

    /// <inheritdoc cref="Gemm.RunSerial"/>
    public static void Serial(
        SimdLevel simd, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue)
    {
        var sum = new LongSum(simd, m, n, k, a, b, c, cStride, epilogue);
        for (int piece = 0; piece < Pieces; piece++)
            sum.Multiply(piece);
        for (int task = 0; task < sum.AddTasks; task++)
            sum.Add(task);
    }

    private void Multiply(int piece)
    {
        int start = (int)((long)_k * piece / Pieces), end = (int)((long)_k * (piece + 1) / Pieces);
        // Whole, however long it is: cut again, it would take its sums' room from this thread's buffer, where these sums lie.
        Gemm.RunWhole(
            _simd, _m, _n, end - start, _a.Offset(start * _a.ColumnStride), _b.Offset(start * _b.RowStride),
            _sums + ((long)piece * _m * _n), _n, default);
    }

    private void Add(int task)
    {
        int last = Math.Min(_m, (task + 1) * _rowsPerTask);
        for (int row = task * _rowsPerTask; row < last; row++)
        {
            var c = new Span<float>(_c + (row * _cStride), _n);
            if (!_epilogue.Accumulate)
                c.Clear();
            for (int piece = 0; piece < Pieces; piece++)
                TensorPrimitives.Add(c, new ReadOnlySpan<float>(_sums + ((((long)piece * _m) + row) * _n), _n), c);
        }
    }
}
