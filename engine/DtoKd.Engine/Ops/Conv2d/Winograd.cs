using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// 3 x 3 convolutions of stride 1 with 16 instead of 36 products for 2 x 2 results: F(2 x 2, 3 x 3) of Lavin and Gray ("Fast
/// algorithms for convolutional neural networks", 2016). Y = A' [(G g G') * (B' d B)] A, where * multiplies element by element
/// and, summed over the channels, is 16 matrix products.
/// </summary>
/// <remarks>
/// A task takes a block of tiles of one group: it transforms the tiles channel by channel, a vector of tiles at a time, into
/// the panels that the micro-kernels of the matrix product read, and turns their results back; all of it stays in the L2. All
/// factors of the transforms are 0, 1 and 1/2, and the error is about that of the plain sum.
/// </remarks>
internal static unsafe class Winograd
{
    /// <summary>Elements of a transformed tile, 4 x 4.</summary>
    public const int Elements = 16;

    // With fewer channels the transforms cost more than the products they save.
    private const int MinChannels = 16;

    // Transformed tiles and results of a task, in floats: 512 KiB leave the L2 of 1 MiB some room for the weights.
    private const int TileBudget = 1 << 17;

    // A panel of transformed tiles of 128 channels takes 16 KiB: half an L1.
    private const int ChannelBlock = 128;

    // Target channels of a task: their results fit the budget beside the tiles.
    private const int TargetBlock = 224;

    /// <summary>Whether the method applies to a convolution and saves work there.</summary>
    public static bool Suits(Conv2dGeometry g)
    {
        if (g.Kernel != 3 || g.Stride != 1 || g.Dilation != 1 || g.Padding.Height > 2 || g.Padding.Width > 2
            || g.GroupC < MinChannels || g.GroupO < MinChannels)
        {
            return false;
        }

        // Tiles reach over odd edges: at least two thirds of their results must be wanted.
        long tiles = 4L * ((g.OH + 1) / 2) * ((g.OW + 1) / 2);
        return 3L * g.OH * g.OW >= 2 * tiles;
    }

    /// <summary>y = conv(x, w), stored by way of the epilogue.</summary>
    public static void Run<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, float* x, ConvWeight w, in ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        int panels = (g.GroupO + TKernel.Rows - 1) / TKernel.Rows;
        var storage = new Storage(device.Pool, (long)g.Groups * Elements * panels * TKernel.Rows * g.GroupC * sizeof(float));
        try
        {
            float* u = (float*)storage.Address;
            device.Team.For(g.Groups * panels, task => TransformWeights<TKernel>(g, w, task / panels, task % panels, panels, u));
            int perTask = Math.Min(panels, Math.Max(1, TargetBlock / TKernel.Rows));
            int parts = (panels + perTask - 1) / perTask;
            perTask = (panels + parts - 1) / parts;
            int columns = TKernel.Columns, depth = Math.Min(g.GroupC, ChannelBlock);
            int blockPanels = Math.Clamp(TileBudget / (Elements * columns * (depth + (perTask * TKernel.Rows))), 1, 4);
            var tiles = new WinogradTiles(g, blockPanels * columns, V.Width);
            var stored = epilogue;
            device.Team.For(tiles.Blocks * g.Groups * parts, task =>
            {
                int part = task % parts, group = task / parts % g.Groups, block = task / parts / g.Groups;
                int first = part * perTask, count = Math.Min(perTask, panels - first);
                Block<V, TKernel>(g, tiles, block, group, first, count, panels, x, u, stored, y);
            });
        }
        finally
        {
            storage.Release();
        }
    }

    private static void Block<V, TKernel>(
        Conv2dGeometry g, WinogradTiles tiles, int block, int group, int firstPanel, int panelCount, int panels, float* x,
        float* u, in ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        int columns = TKernel.Columns, rows = panelCount * TKernel.Rows, blockPanels = tiles.BlockTiles / columns;
        int count = tiles.CountOf(block), usedPanels = (count + columns - 1) / columns;
        int depthBlock = Math.Min(g.GroupC, ChannelBlock);
        long elementStride = (depthBlock * columns) + V.Width, panelStride = Elements * elementStride;
        float* v = PackBuffers.A((blockPanels * panelStride) + tiles.BandLength);
        float* band = v + (blockPanels * panelStride);
        float* m = PackBuffers.B(((long)blockPanels * Elements * rows * columns) + tiles.LineLength);
        var tile = new TileEpilogue { Alpha = 1 };
        for (int c = 0; c < g.GroupC; c += depthBlock)
        {
            int depth = Math.Min(depthBlock, g.GroupC - c);
            for (int k = 0; k < depth; k++)
            {
                tiles.TransformSource<V>(
                    x, (group * g.GroupC) + c + k, block, band, v + (k * columns), columns, panelStride, elementStride);
            }

            float* chunk = u + (((long)group * g.GroupC) + c) * Elements * panels * TKernel.Rows;
            for (int panel = 0; panel < usedPanels; panel++)
            {
                for (int e = 0; e < Elements; e++)
                {
                    float* weights = chunk + ((((long)e * panels) + firstPanel) * TKernel.Rows * depth);
                    float* b = v + (panel * panelStride) + (e * elementStride);
                    float* to = m + ((((long)panel * Elements) + e) * rows * columns);
                    for (int i = 0; i < panelCount; i++)
                    {
                        TKernel.Tile(
                            depth, weights + ((long)i * TKernel.Rows * depth), b, columns, to + (i * TKernel.Rows * columns), columns,
                            tile);
                    }
                }
            }

            tile.AddC = true;
        }

        float* line = m + ((long)blockPanels * Elements * rows * columns);
        int firstChannel = firstPanel * TKernel.Rows, channels = Math.Min(rows, g.GroupO - firstChannel);
        for (int o = 0; o < channels; o++)
        {
            tiles.Collect<V>(
                m + (o * columns), columns, (long)Elements * rows * columns, (long)rows * columns, block, line,
                (group * g.GroupO) + firstChannel + o, epilogue, y);
        }
    }

    /// <summary>
    /// U = G g G' for one panel of target channels: [group][block of channels][element][panel][channel, TKernel.Rows].
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransformWeights<TKernel>(Conv2dGeometry g, ConvWeight w, int group, int panel, int panels, float* u)
        where TKernel : struct, IMicroKernel
    {
        int rows = TKernel.Rows, filled = Math.Min(rows, g.GroupO - (panel * rows));
        float* t = stackalloc float[12];
        for (int c = 0; c < g.GroupC; c++)
        {
            int first = c / ChannelBlock * ChannelBlock, depth = Math.Min(ChannelBlock, g.GroupC - first);
            long elementStride = (long)panels * rows * depth;
            float* to = u + ((((long)group * g.GroupC) + first) * Elements * panels * rows)
                + ((((long)panel * depth) + c - first) * rows);
            for (int r = 0; r < rows; r++, to++)
            {
                if (r >= filled)
                {
                    for (int e = 0; e < Elements; e++)
                        to[e * elementStride] = 0;
                    continue;
                }

                float* from = w.Data + (group * w.GroupStride) + (((panel * rows) + r) * w.TargetStride) + (c * w.SourceStride)
                    + w.FirstTap;
                int s = w.TapStride;
                for (int j = 0; j < 3; j++, from += s)
                {
                    float a = from[0], b = from[3 * s], d = from[6 * s];
                    t[j] = a;
                    t[3 + j] = 0.5f * (a + d + b);
                    t[6 + j] = 0.5f * (a + d - b);
                    t[9 + j] = d;
                }

                float* element = to;
                for (int i = 0; i < 4; i++)
                {
                    float a = t[3 * i], b = t[(3 * i) + 1], d = t[(3 * i) + 2];
                    element[0] = a;
                    element[elementStride] = 0.5f * (a + d + b);
                    element[2 * elementStride] = 0.5f * (a + d - b);
                    element[3 * elementStride] = d;
                    element += 4 * elementStride;
                }
            }
        }
    }
}
