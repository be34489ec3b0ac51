using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Scratch memory in which each piece of a long sum leaves its part of a result, and which is then added up.</summary>
internal readonly struct PieceSums(GpuDevice device, Tensor y, long pieces, bool accumulate) : IDisposable
{
    // Pieces from which on the warps of a group share them.
    private const long Many = 32;

    private readonly Storage? _scratch = IsDirect(pieces, accumulate) ? null : device.Pool.Rent(pieces * y.Count * sizeof(float), "partial sums");

    /// <summary>Where the pieces go, one after the other: the result itself if there is one piece and nothing to add to.</summary>
    public ArrayView<float> Pieces => _scratch is null ? GpuDevice.View<float>(y) : device.View<float>(_scratch, 0, pieces * y.Count);

    /// <summary>Whether the pieces are not in the result itself.</summary>
    public bool IsApart => _scratch is not null;

    /// <summary>Adds up.</summary>
    public void Dispose()
    {
        if (_scratch is null)
            return;
        int columns = pieces >= Many ? RowTeam.WarpSize : device.GroupSize;
        device.Launcher.Launch<SumPieces, SumPieces.Args>((y.Count + columns - 1) / columns, device.GroupSize, new()
        {
            X = Pieces,
            Y = GpuDevice.View<float>(y),
            Count = checked((int)y.Count),
            Pieces = checked((int)pieces),
            Columns = columns,
            Accumulate = accumulate ? 1 : 0,
        });
        _scratch.Release();
    }

    private static bool IsDirect(long pieces, bool accumulate) => pieces == 1 && !accumulate;
}

/// <summary>
/// y = the sum of the pieces: a thread for each element, or one of each warp for every so many pieces, then over the warps in order.
/// </summary>
internal readonly struct SumPieces : IKernel<SumPieces.Args>
{
    public static void Run(Args args)
    {
        int rank = Group.IdxX / args.Columns, size = Group.DimX / args.Columns;
        int column = (Grid.IdxX * args.Columns) + Group.IdxX - (rank * args.Columns);
        int step = size * args.Count, piece = column < args.Count ? rank : args.Pieces, at = (piece * args.Count) + column;
        float sum = 0;
        // Four loads under way at once: one after the other, their latency is what counts.
        for (; piece + (3 * size) < args.Pieces; piece += 4 * size, at += 4 * step)
        {
            float a = args.X[at], b = args.X[at + step], c = args.X[at + (2 * step)], d = args.X[at + (3 * step)];
            sum += a;
            sum += b;
            sum += c;
            sum += d;
        }

        for (; piece < args.Pieces; piece += size, at += step)
            sum += args.X[at];
        if (size > 1)
            sum = GroupFold.SumOfWarps(sum);
        if (rank == 0 && column < args.Count)
            args.Y[column] = args.Accumulate != 0 ? args.Y[column] + sum : sum;
    }

    internal struct Args
    {
        public ArrayView<float> X, Y;

        /// <summary>Elements, pieces, and elements of a group: its threads, or those of a warp.</summary>
        public int Count, Pieces, Columns;

        public int Accumulate;
    }
}
