using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Reductions of [outer, reduced, inner] over the middle. Rows (inner = 1) take a warp or group each, columns a thread each. What is
/// longer than a piece is reduced in pieces of fixed length first, whose results are reduced in turn, so that a few long sums
/// keep the device busy too. The cuts depend on the shape alone.
/// </summary>
internal static class FoldGpu
{
    private const long RowPiece = 8192;
    private const long ColumnPiece = 128;

    /// <summary>y[o, i] = x[o, 0, i] . x[o, 1, i] . ..., both contiguous.</summary>
    public static void Run<TFold>(Tensor x, Tensor y, long outer, long reduced, long inner)
        where TFold : struct, IFold
    {
        if (y.Count == 0)
            return;
        if (reduced == 0)
        {
            y.Fill(TFold.Start);
            return;
        }

        var device = (GpuDevice)y.Device;
        Run<TFold>(device, GpuDevice.View<float>(x), GpuDevice.View<float>(y), outer, reduced, inner);
    }

    private static void Run<TFold>(GpuDevice device, ArrayView<float> x, ArrayView<float> y, long outer, long reduced, long inner)
        where TFold : struct, IFold
    {
        long piece = inner == 1 ? RowPiece : ColumnPiece;
        long pieces = (reduced + piece - 1) / piece;
        if (pieces == 1)
        {
            Launch<TFold>(device, x, y, outer, reduced, reduced, inner);
            return;
        }

        long count = outer * pieces * inner;
        var partial = device.Pool.Rent(count * sizeof(float), "reduction");
        var results = device.View<float>(partial, 0, count);
        Launch<TFold>(device, x, results, outer, reduced, piece, inner);
        Run<TFold>(device, results, y, outer, pieces, inner);
        partial.Release();
    }

    private static void Launch<TFold>(
        GpuDevice device, ArrayView<float> x, ArrayView<float> y, long outer, long reduced, long piece, long inner)
        where TFold : struct, IFold
    {
        long pieces = (reduced + piece - 1) / piece;
        var args = new FoldArgs
        {
            X = x,
            Y = y,
            Count = checked((int)(outer * pieces * inner)),
            Reduced = checked((int)reduced),
            Piece = checked((int)piece),
            Pieces = checked((int)pieces),
            Inner = checked((int)inner),
        };
        if (inner == 1)
            RowTeam.Launch<FoldRows<WarpOfRow, TFold>, FoldRows<GroupOfRow, TFold>, FoldArgs>(device, args.Count, Math.Min(piece, reduced), args);
        else
            GridStride.Launch<FoldColumns<TFold>, FoldArgs>(device, args.Count, args);
    }
}

/// <summary>y[o, p, i] = the fold of x[o, r, i] over the r of piece p.</summary>
internal struct FoldArgs
{
    public ArrayView<float> X, Y;
    public int Count, Reduced, Piece, Pieces, Inner;
}

/// <summary>A team for each piece of a row; a thread takes every so many elements, then the team folds by halves.</summary>
internal readonly struct FoldRows<TTeam, TFold> : IKernel<FoldArgs>
    where TTeam : struct, IRowTeam
    where TFold : struct, IFold
{
    public static void Run(FoldArgs args)
    {
        int piece = TTeam.Row;
        int row = piece / args.Pieces, first = (piece - (row * args.Pieces)) * args.Piece;
        int end = piece < args.Count ? IntrinsicMath.Min(first + args.Piece, args.Reduced) : 0;
        long start = (long)row * args.Reduced;
        var result = GpuLane.Of(TFold.Start);
        for (int r = first + TTeam.Rank; r < end; r += TTeam.Size)
            result = TFold.Of(result, new GpuLane(args.X[start + r]));
        float all = TTeam.Fold<TFold>(result.Value);
        if (TTeam.Rank == 0 && piece < args.Count)
            args.Y[piece] = all;
    }
}

/// <summary>A thread for each piece of a column: neighbouring threads read neighbouring columns.</summary>
internal readonly struct FoldColumns<TFold> : IKernel<FoldArgs>
    where TFold : struct, IFold
{
    public static void Run(FoldArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int block = i / args.Inner, column = i - (block * args.Inner);
            int outer = block / args.Pieces, first = (block - (outer * args.Pieces)) * args.Piece;
            int end = IntrinsicMath.Min(first + args.Piece, args.Reduced);
            long at = (((long)outer * args.Reduced) + first) * args.Inner + column;
            var result = GpuLane.Of(TFold.Start);
            int r = first;
            // Four loads under way at once: one after the other, their latency is what counts.
            for (; r + 3 < end; r += 4)
            {
                GpuLane a = new(args.X[at]), b = new(args.X[at + args.Inner]);
                at += 2 * (long)args.Inner;
                GpuLane c = new(args.X[at]), d = new(args.X[at + args.Inner]);
                at += 2 * (long)args.Inner;
                result = TFold.Of(TFold.Of(TFold.Of(TFold.Of(result, a), b), c), d);
            }

            for (; r < end; r++, at += args.Inner)
                result = TFold.Of(result, new GpuLane(args.X[at]));
            args.Y[i] = result.Value;
        }
    }
}

internal sealed class SumGpu : ISumKernels
{
    public void Sum(Tensor x, Tensor y, long outer, long reduced, long inner) => FoldGpu.Run<SumOf>(x, y, outer, reduced, inner);
}
