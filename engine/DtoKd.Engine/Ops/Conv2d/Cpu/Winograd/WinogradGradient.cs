using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The weight's gradient of the convolutions of <see cref="Winograd"/>, by the transpose of the same identity:
/// dg = G' [sum over tiles of (A dY A') * (B' d B)] G, 16 products of matrices whose sums run over tiles.
/// </summary>
internal static unsafe class WinogradGradient
{
    // Long enough that a sum is seldom put down, short enough that the tiles of 100 channels stay in the L2.
    private const int BlockTiles = 64;

    /// <summary>Fills partial sums [runs, O, C / groups, 3, 3], one for each run of blocks; a task makes those of a group.</summary>
    public static void Run<V, TKernel>(CpuDevice device, Conv2dGeometry g, float* x, float* dy, int maxRuns, ConvPartials partials)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        var tiles = new WinogradTiles<WinogradStride1>(g, BlockTiles, V.Width);
        int perRun = Math.Max(1, (tiles.Blocks + maxRuns - 1) / maxRuns), runs = (tiles.Blocks + perRun - 1) / perRun;
        partials.Begin(runs);
        int rows = RoundUp(g.GroupO, TKernel.Rows), columns = RoundUp(g.GroupC, TKernel.Columns);
        device.Team.For(runs * g.Groups, task =>
        {
            int run = task / g.Groups, group = task % g.Groups;
            var sums = device.Pool.Rent((long)Winograd.Elements * rows * columns * sizeof(float), "conv2d");
            try
            {
                float* s = (float*)sums.Address;
                int first = run * perRun, last = Math.Min(tiles.Blocks, first + perRun);
                for (int block = first; block < last; block++)
                    Block<V, TKernel>(g, tiles, block, group, x, dy, s, rows, columns, add: block > first);
                float* to = partials.Of(run) + ((long)group * g.GroupO * g.GroupC * Winograd.Taps);
                for (int o = 0; o < g.GroupO; o++)
                    TransformBack<V>(s + ((long)o * columns), (long)rows * columns, g.GroupC, to + ((long)o * g.GroupC * Winograd.Taps));
            }
            finally
            {
                sums.Release();
            }
        });
    }

    private static void Block<V, TKernel>(
        Conv2dGeometry g, WinogradTiles<WinogradStride1> tiles, int block, int group, float* x, float* dy, float* sums, int rows, int columns,
        bool add)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        int count = tiles.CountOf(block);
        long sourceStride = ((long)g.GroupC * BlockTiles) + V.Width, gradientStride = ((long)g.GroupO * BlockTiles) + V.Width;
        float* v = PackBuffers.A((Winograd.Elements * (sourceStride + gradientStride)) + tiles.BandLength);
        float* d = v + (Winograd.Elements * sourceStride), band = d + (Winograd.Elements * gradientStride);
        float* a = PackBuffers.B(((long)(rows + columns) * BlockTiles) + (2 * Packing.Overrun)), b = a + ((long)rows * BlockTiles) + Packing.Overrun;
        for (int c = 0; c < g.GroupC; c++)
        {
            tiles.TransformSource<V>(
                x, (group * g.GroupC) + c, block, band, v + (c * BlockTiles), BlockTiles, 0, sourceStride);
        }

        for (int o = 0; o < g.GroupO; o++)
            tiles.TransformGradient<V>(dy, (group * g.GroupO) + o, block, band, d + (o * BlockTiles), gradientStride);
        var epilogue = new TileEpilogue { AddC = add };
        for (int e = 0; e < Winograd.Elements; e++)
        {
            Packing.Pack(d + (e * gradientStride), BlockTiles, 1, g.GroupO, count, TKernel.Rows, a);
            Packing.Pack(v + (e * sourceStride), BlockTiles, 1, g.GroupC, count, TKernel.Columns, b);
            float* to = sums + ((long)e * rows * columns);
            for (int j = 0; j < columns; j += TKernel.Columns)
            {
                for (int i = 0; i < rows; i += TKernel.Rows)
                {
                    var operands = new TilePanels(a + ((long)i * count), TKernel.Rows, b + ((long)j * count), TKernel.Columns);
                    int usedRows = Math.Min(TKernel.Rows, g.GroupO - i), usedColumns = Math.Min(TKernel.Columns, g.GroupC - j);
                    float* sum = to + ((long)i * columns) + j;
                    if (usedRows == TKernel.Rows && 2 * usedColumns > TKernel.Columns)
                        TKernel.Tile(count, operands, sum, columns, epilogue);
                    else
                        TKernel.Edge(count, operands, sum, columns, epilogue, usedRows, usedColumns);
                }
            }
        }
    }

    /// <summary>dg = G' S G for the channels of one output, a vector of them at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransformBack<V>(float* s, long elementStride, int channels, float* dg)
        where V : unmanaged, IFloatLane<V>
    {
        float* taps = stackalloc float[Winograd.Taps * V.Width];
        for (int c = 0; c < channels; c += V.Width, s += V.Width)
        {
            BackRow<V>(s, elementStride, out var a0, out var a1, out var a2);
            BackRow<V>(s + (4 * elementStride), elementStride, out var b0, out var b1, out var b2);
            BackRow<V>(s + (8 * elementStride), elementStride, out var c0, out var c1, out var c2);
            BackRow<V>(s + (12 * elementStride), elementStride, out var d0, out var d1, out var d2);
            BackColumn(a0, b0, c0, d0, taps);
            BackColumn(a1, b1, c1, d1, taps + V.Width);
            BackColumn(a2, b2, c2, d2, taps + (2 * V.Width));
            int count = Math.Min(V.Width, channels - c);
            for (int i = 0; i < count; i++)
            {
                for (int tap = 0; tap < Winograd.Taps; tap++)
                    *dg++ = taps[(tap * V.Width) + i];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void BackRow<V>(float* s, long elementStride, out V t0, out V t1, out V t2)
        where V : unmanaged, IFloatLane<V>
    {
        V s1 = V.Load(s + elementStride), s2 = V.Load(s + (2 * elementStride)), plus = V.Of(0.5) * (s1 + s2);
        t0 = V.Load(s) + plus;
        t1 = V.Of(0.5) * (s1 - s2);
        t2 = plus + V.Load(s + (3 * elementStride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void BackColumn<V>(V a, V b, V c, V d, float* taps)
        where V : unmanaged, IFloatLane<V>
    {
        V plus = V.Of(0.5) * (b + c);
        V.Store(a + plus, taps);
        V.Store(V.Of(0.5) * (b - c), taps + (3 * V.Width));
        V.Store(plus + d, taps + (6 * V.Width));
    }

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}
