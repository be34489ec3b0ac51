namespace DtoKd.Engine.Cpu;

/// <summary>
/// 3 x 3 convolutions with 16 (stride 1) or 25 (stride 2) instead of 36 products for 2 x 2 results, after Lavin and Gray ("Fast
/// algorithms for convolutional neural networks", 2016). Y = A' [(G g G') * (B' d B)] A, where * multiplies element by element
/// and, summed over the channels, is as many matrix products.
/// </summary>
/// <remarks>
/// A task takes a block of tiles of one group: it transforms the tiles channel by channel, a vector of tiles at a time, into
/// the panels that the micro-kernels of the matrix product read, in the L2. Panels of weights stream past; once all elements of a
/// panel's channels are there, they are turned back and stored. All factors of the transforms (<see cref="IWinogradTransform"/>)
/// are 0, 1 and 1/2, and the error is about that of the plain sum.
/// </remarks>
internal static unsafe class Winograd
{
    /// <summary>Elements of a transformed kernel, 4 x 4.</summary>
    public const int Elements = 16;

    /// <summary>Elements of a kernel, 3 x 3.</summary>
    public const int Taps = 9;

    // With fewer channels the transforms cost more than the products they save.
    private const int MinChannels = 16;

    // Transformed tiles of a task, in floats: 512 KiB leave the L2 of 1 MiB some room for the weights.
    private const int TileBudget = 1 << 17;

    // A panel of transformed tiles of 128 channels takes 16 KiB: half an L1.
    private const int ChannelBlock = 128;

    // Target channels of a task: their results fit the budget beside the tiles.
    private const int TargetBlock = 224;

    /// <summary>Whether the method applies to a convolution and saves work there.</summary>
    public static bool Suits(Conv2dGeometry g)
    {
        if (g.Kernel != 3 || (g.Stride != 1 && g.Stride != 2) || g.Dilation != 1 || g.Padding.Height > 2 || g.Padding.Width > 2
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
        if (g.Stride == 1)
            Run<V, TKernel, WinogradStride1>(device, g, x, w, epilogue, y);
        else
            Run<V, TKernel, WinogradStride2>(device, g, x, w, epilogue, y);
    }

    private static void Run<V, TKernel, TTransform>(
        CpuDevice device, Conv2dGeometry g, float* x, ConvWeight w, in ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
        where TTransform : struct, IWinogradTransform
    {
        int panels = (g.GroupO + TKernel.Rows - 1) / TKernel.Rows, chunks = (g.GroupC + ChannelBlock - 1) / ChannelBlock;
        var storage = device.Pool.Rent(g.Groups * chunks * panels * Elements * KernelStride<V, TKernel>(g) * sizeof(float), "conv2d");
        try
        {
            float* u = (float*)storage.Address;
            device.Team.For(
                g.Groups * panels, task => TransformWeights<V, TKernel, TTransform>(g, w, task / panels, task % panels, panels, u));
            int perTask = Math.Min(panels, Math.Max(1, TargetBlock / TKernel.Rows));
            int parts = (panels + perTask - 1) / perTask;
            perTask = (panels + parts - 1) / parts;
            int columns = TKernel.Columns, depth = Math.Min(g.GroupC, ChannelBlock);
            int tileLength = TTransform.TileSide * TTransform.TileSide * columns;
            int resultRows = (depth < g.GroupC ? perTask : 1) * TKernel.Rows;
            int blockPanels = Math.Clamp(TileBudget / (tileLength * (depth + resultRows)), 1, 4);
            var tiles = new WinogradTiles<TTransform>(g, blockPanels * columns, V.Width);
            var stored = epilogue;
            device.Team.For(tiles.Blocks * g.Groups * parts, task =>
            {
                int part = task % parts, group = task / parts % g.Groups, block = task / parts / g.Groups;
                int first = part * perTask, count = Math.Min(perTask, panels - first);
                Block<V, TKernel, TTransform>(g, tiles, block, group, first, count, panels, x, u, stored, y);
            });
        }
        finally
        {
            storage.Release();
        }
    }

    private static void Block<V, TKernel, TTransform>(
        Conv2dGeometry g, WinogradTiles<TTransform> tiles, int block, int group, int firstPanel, int panelCount, int panels, float* x,
        float* u, in ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
        where TTransform : struct, IWinogradTransform
    {
        int elements = TTransform.TileSide * TTransform.TileSide, columns = TKernel.Columns, blockPanels = tiles.BlockTiles / columns;
        int count = tiles.CountOf(block), usedPanels = (count + columns - 1) / columns;
        int depthBlock = Math.Min(g.GroupC, ChannelBlock);
        long elementStride = (depthBlock * columns) + V.Width, panelStride = elements * elementStride;
        // The sums of a panel of weights: [panels of tiles, elements, TKernel.Rows, columns]; of all where channels come in blocks.
        long sumStride = TKernel.Rows * columns, weightSums = blockPanels * elements * sumStride;
        long kept = depthBlock < g.GroupC ? weightSums : 0;
        float* v = PackBuffers.A((blockPanels * panelStride) + tiles.BandLength);
        float* band = v + (blockPanels * panelStride);
        float* m = PackBuffers.B(weightSums + (kept * panelCount) + tiles.LineLength), line = m + weightSums + (kept * panelCount);
        var tile = default(TileEpilogue);
        for (int c = 0; c < g.GroupC; c += depthBlock)
        {
            int depth = Math.Min(depthBlock, g.GroupC - c);
            for (int k = 0; k < depth; k++)
            {
                tiles.TransformSource<V>(
                    x, (group * g.GroupC) + c + k, block, band, v + (k * columns), columns, panelStride, elementStride);
            }

            float* weights = u + (Panel(g, group, c, firstPanel, panels) * Elements * KernelStride<V, TKernel>(g));
            for (int i = 0; i < panelCount; i++, weights += Elements * KernelStride<V, TKernel>(g))
            {
                float* sums = m + (i * kept);
                int firstChannel = (firstPanel + i) * TKernel.Rows;
                int rows = Math.Min(TKernel.Rows, g.GroupO - firstChannel), channels = c + depth < g.GroupC ? 0 : rows;
                tiles.Prefetch(block, (group * g.GroupO) + firstChannel, channels, epilogue, y);
                for (int e = 0; e < elements; e++)
                {
                    float* kernels = KernelsOf(e);
                    var next = new PrefetchedBlock(
                        e + 1 < elements ? KernelsOf(e + 1) : weights + (Elements * KernelStride<V, TKernel>(g)), 0, 1, TKernel.Rows * depth);
                    for (int panel = 0; panel < usedPanels; panel++)
                    {
                        int used = count - (panel * columns);
                        float* to = sums + (((panel * elements) + e) * sumStride);
                        var operands = new TilePanels(kernels, TKernel.Rows, v + (panel * panelStride) + (e * elementStride), columns)
                        {
                            Fetch = &next,
                        };
                        if (rows == TKernel.Rows && 2 * used > columns)
                            TKernel.Tile(depth, operands, to, columns, tile);
                        else
                            TKernel.Edge(depth, operands, to, columns, tile, rows, Math.Min(columns, used));
                    }
                }

                for (int o = 0; o < channels; o++)
                {
                    tiles.Collect<V>(
                        sums + (o * columns), columns, elements * sumStride, sumStride, block, line,
                        (group * g.GroupO) + firstChannel + o, epilogue, y);
                }

                float* KernelsOf(int element) => weights + (TTransform.KernelElement(element) * KernelStride<V, TKernel>(g));
            }

            tile.AddC = true;
        }
    }

    /// <summary>From one element of a panel's transformed kernels to the next, whose vectors run over the end.</summary>
    private static long KernelStride<V, TKernel>(Conv2dGeometry g)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel => (Math.Min(g.GroupC, ChannelBlock) * TKernel.Rows) + V.Width;

    /// <summary>The place of a panel: [group][block of channels][panel].</summary>
    private static long Panel(Conv2dGeometry g, int group, int channel, int panel, int panels) =>
        ((((long)group * ((g.GroupC + ChannelBlock - 1) / ChannelBlock)) + (channel / ChannelBlock)) * panels) + panel;

    /// <summary>U = G g G' for one panel of target channels: [element][channel, TKernel.Rows] for each block of channels.</summary>
    private static void TransformWeights<V, TKernel, TTransform>(
        Conv2dGeometry g, ConvWeight w, int group, int panel, int panels, float* u)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
        where TTransform : struct, IWinogradTransform
    {
        int rows = TKernel.Rows, filled = Math.Min(rows, g.GroupO - (panel * rows)), block = Math.Min(g.GroupC, ChannelBlock);
        int stride = checked((int)KernelStride<V, TKernel>(g));
        float* taps = PackBuffers.A((Taps * block * rows) + Packing.Overrun + V.Width);
        float* from = w.Data + (group * w.GroupStride) + (panel * rows * w.TargetStride);
        for (int first = 0; first < g.GroupC; first += block)
        {
            int depth = Math.Min(block, g.GroupC - first);
            if (w.SourceStride == Taps)
            {
                Packing.Pack(from + (first * Taps), w.TargetStride, 1, filled, depth * Taps, rows, taps);
            }
            else
            {
                for (int c = 0; c < depth; c++)
                    Packing.Pack(from + ((first + c) * w.SourceStride), w.TargetStride, 1, filled, Taps, rows, taps + (c * Taps * rows));
            }

            // A vector of kernels, of target channels that lie side by side; what it spills over is written later.
            float* to = u + (Panel(g, group, first, panel, panels) * Elements * stride);
            for (int c = 0; c < depth; c++)
            {
                for (int r = 0; r < rows; r += V.Width)
                    TTransform.Kernels<V>(taps + (((c * Taps) + w.FirstTap) * rows) + r, w.TapStride * rows, to + (c * rows) + r, stride);
            }
        }
    }
}
