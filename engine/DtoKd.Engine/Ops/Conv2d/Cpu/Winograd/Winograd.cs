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

    private const int Taps = 9;

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
        var storage = device.Pool.Rent(
            (long)g.Groups * Elements * panels * TKernel.Rows * g.GroupC * sizeof(float), "conv2d");
        try
        {
            float* u = (float*)storage.Address;
            device.Team.For(g.Groups * panels, task => TransformWeights<V, TKernel>(g, w, task / panels, task % panels, panels, u));
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
        var tile = default(TileEpilogue);
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
                            depth, new TilePanels(weights + ((long)i * TKernel.Rows * depth), TKernel.Rows, b, columns),
                            to + (i * TKernel.Rows * columns), columns, tile);
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
    private static void TransformWeights<V, TKernel>(Conv2dGeometry g, ConvWeight w, int group, int panel, int panels, float* u)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        int rows = TKernel.Rows, filled = Math.Min(rows, g.GroupO - (panel * rows)), block = Math.Min(g.GroupC, ChannelBlock);
        float* kernels = PackBuffers.A((Taps * block * rows) + Packing.Overrun + V.Width);
        float* elements = PackBuffers.B(Elements * ((block * rows) + V.Width));
        float* from = w.Data + (group * w.GroupStride) + (panel * rows * w.TargetStride);
        for (int first = 0; first < g.GroupC; first += block)
        {
            int depth = Math.Min(block, g.GroupC - first), elementStride = (depth * rows) + V.Width;
            if (w.SourceStride == Taps)
            {
                Packing.Pack(from + (first * Taps), w.TargetStride, 1, filled, depth * Taps, rows, kernels);
            }
            else
            {
                for (int c = 0; c < depth; c++)
                    Packing.Pack(from + ((first + c) * w.SourceStride), w.TargetStride, 1, filled, Taps, rows, kernels + (c * Taps * rows));
            }

            for (int c = 0; c < depth; c++)
            {
                for (int r = 0; r < rows; r += V.Width)
                {
                    TransformKernels<V>(
                        kernels + (((c * Taps) + w.FirstTap) * rows) + r, w.TapStride * rows, elements + (c * rows) + r, elementStride);
                }
            }

            float* to = u + ((((long)group * g.GroupC) + first) * Elements * panels * rows) + ((long)panel * depth * rows);
            for (int e = 0; e < Elements; e++)
            {
                new Span<float>(elements + (e * elementStride), depth * rows).CopyTo(
                    new Span<float>(to + ((long)e * panels * depth * rows), depth * rows));
            }
        }
    }

    // A vector of kernels, of target channels that lie side by side; what it spills over is written later.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransformKernels<V>(float* tap, int tapStride, float* element, int elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        KernelColumn<V>(tap, tapStride, out var a0, out var a1, out var a2, out var a3);
        KernelColumn<V>(tap + tapStride, tapStride, out var b0, out var b1, out var b2, out var b3);
        KernelColumn<V>(tap + (2 * tapStride), tapStride, out var c0, out var c1, out var c2, out var c3);
        KernelRow(a0, b0, c0, element, elementStride);
        KernelRow(a1, b1, c1, element + (4 * elementStride), elementStride);
        KernelRow(a2, b2, c2, element + (8 * elementStride), elementStride);
        KernelRow(a3, b3, c3, element + (12 * elementStride), elementStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelColumn<V>(float* tap, int stride, out V t0, out V t1, out V t2, out V t3)
        where V : unmanaged, IFloatLane<V>
    {
        t0 = V.Load(tap);
        t3 = V.Load(tap + (6 * stride));
        V middle = V.Of(0.5) * V.Load(tap + (3 * stride)), sum = V.Of(0.5) * (t0 + t3);
        t1 = sum + middle;
        t2 = sum - middle;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelRow<V>(V a, V b, V c, float* element, int stride)
        where V : unmanaged, IFloatLane<V>
    {
        V middle = V.Of(0.5) * b, sum = V.Of(0.5) * (a + c);
        V.Store(a, element);
        V.Store(sum + middle, element + stride);
        V.Store(sum - middle, element + (2 * stride));
        V.Store(c, element + (3 * stride));
    }
}
