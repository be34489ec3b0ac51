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
                float* to = partials.Of(run) + ((long)group * g.GroupO * g.GroupC * 9);
                for (int o = 0; o < g.GroupO; o++)
                    TransformBack(s + ((long)o * columns), (long)rows * columns, g.GroupC, to + ((long)o * g.GroupC * 9));
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

    /// <summary>dg = G' S G for the channels of one output.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransformBack(float* s, long elementStride, int channels, float* dg)
    {
        float* t = stackalloc float[12];
        for (int c = 0; c < channels; c++, s++, dg += 9)
        {
            float* from = s;
            for (int i = 0; i < 4; i++, from += 4 * elementStride)
            {
                float plus = 0.5f * (from[elementStride] + from[2 * elementStride]);
                t[3 * i] = from[0] + plus;
                t[(3 * i) + 1] = 0.5f * (from[elementStride] - from[2 * elementStride]);
                t[(3 * i) + 2] = plus + from[3 * elementStride];
            }

            for (int j = 0; j < 3; j++)
            {
                float plus = 0.5f * (t[3 + j] + t[6 + j]);
                dg[j] = t[j] + plus;
                dg[3 + j] = 0.5f * (t[3 + j] - t[6 + j]);
                dg[6 + j] = plus + t[9 + j];
            }
        }
    }

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}

/// <summary>
/// Sums of a weight's gradient over parts of the images, each made by one thread, and added in order, in double: so the result
/// does not depend on the number of threads.
/// </summary>
internal sealed unsafe class ConvPartials(CpuDevice device, long count) : IDisposable
{
    // Elements of the target that a task sums.
    private const long Grain = 2048;

    private Storage? _sums;
    private int _runs;

    /// <summary>Makes room for a number of sums.</summary>
    public void Begin(int runs)
    {
        _runs = runs;
        _sums = device.Pool.Rent(runs * count * sizeof(float), "conv2d");
    }

    /// <summary>The sums of a run, as the weight lies.</summary>
    public float* Of(int run) => (float*)_sums!.Address + (run * count);

    /// <summary>target (+)= the sum over the runs.</summary>
    public void AddTo(float* target, bool accumulate) => device.Team.ForRange(count, Grain, (start, end) =>
    {
        for (long i = start; i < end; i++)
        {
            double sum = accumulate ? target[i] : 0;
            for (int run = 0; run < _runs; run++)
                sum += Of(run)[i];
            target[i] = (float)sum;
        }
    });

    public void Dispose() => _sums?.Release();
}
