using System.Numerics.Tensors;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The gradient of a weight, dW = dyᵀ x over very many rows: K is cut into pieces, each with sums of its own, which are added in order.
/// </summary>
/// <remarks>
/// A thread mostly reads rows that it has computed itself, while tiles of the whole sum would have each read all of both operands, half of
/// that out of another core's cache. And a small C has too few tiles for the threads, which would read the operands in narrow strips.
/// </remarks>
internal readonly unsafe struct LongSum
{
    // The pieces follow from the shape alone, so that a sum is the same for any number of threads.
    private const int Many = 16;
    private const int Few = 2;

    // Shorter pieces would spend more on their own C than they gain by reading whole rows.
    private const int ShortestPiece = 384;

    // A C of 160 KiB stays in the L2 beside the rows; a larger one has tiles enough.
    private const int SmallResult = 40_000;

    private const int ElementsPerTask = 4096;

    [ThreadStatic]
    private static float[]? _buffer;

    private readonly int _m;
    private readonly int _n;

    /// <summary>Says how a product is cut, and finds room for its sums.</summary>
    /// <inheritdoc cref="Gemm.Run"/>
    public LongSum(int m, int n, int k, MatrixView a, MatrixView b, in GemmEpilogue epilogue)
    {
        (_m, _n) = (m, n);
        Pieces = PiecesOf(m, n, k, a, b, epilogue);
        Others = Pieces == 1 ? null : PackBuffers.Aligned(ref _buffer, (Pieces - 1L) * m * n);
    }

    /// <summary>Pieces that K is cut into; 1 unless the product is a long sum.</summary>
    public int Pieces { get; }

    /// <summary>[Pieces - 1, m, n]: the sums of all pieces but the first, whose place is C.</summary>
    public float* Others { get; }

    /// <summary>Independent tasks that add the pieces up.</summary>
    public int AddTasks => Pieces == 1 ? 0 : Split.Pieces(_m, RowsPerTask);

    private int RowsPerTask => Math.Max(1, ElementsPerTask / _n);

    /// <summary>Adds the other pieces' sums to C, on all threads.</summary>
    public void AddUp(ThreadTeam team, float* c, long cStride)
    {
        var sum = this;
        team.For(AddTasks, task => sum.Add(task, c, cStride));
    }

    /// <summary>Adds the other pieces' sums to some rows of C.</summary>
    public void Add(int task, float* c, long cStride)
    {
        int last = Math.Min(_m, (task + 1) * RowsPerTask);
        for (int row = task * RowsPerTask; row < last; row++)
        {
            var sum = new Span<float>(c + (row * cStride), _n);
            for (int piece = 0; piece < Pieces - 1; piece++)
                TensorPrimitives.Add(sum, new ReadOnlySpan<float>(Others + ((((long)piece * _m) + row) * _n), _n), sum);
        }
    }

    private static int PiecesOf(int m, int n, int k, MatrixView a, MatrixView b, in GemmEpilogue epilogue)
    {
        long results = (long)m * n;
        bool isSum = ((a.RowStride == 1 && b.ColumnStride == 1) || a.RunLength > 0) && epilogue.Bias == null && epilogue.Finish == null;
        if (!isSum || results == 0)
            return 1;
        if (k >= Many * ShortestPiece && results <= SmallResult)
            return Many;
        // Sums written twice must be less than what is read of the operands.
        return k >= Few * ShortestPiece && 2 * results <= (long)(m + n) * k ? Few : 1;
    }
}
