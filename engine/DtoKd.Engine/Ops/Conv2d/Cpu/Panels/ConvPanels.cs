using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static DtoKd.Engine.Cpu.Split;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// A convolution as a matrix product whose columns are the pixels of all images: [O, C kh kw] x [C kh kw, pixels]. The second
/// matrix exists only as the packed panels of one task, gathered from the images; so a 1 x 1 convolution copies nothing but
/// what a matrix product packs anyway.
/// </summary>
/// <remarks>
/// A task makes a block of channels by a block of pixels in its scratch, in the L2. Weights stream past, each panel fetched
/// while the one before is used; and a finished tile is stored at once by way of the epilogue, to places that were asked for
/// before its last sums were made. The cuts follow from the shape alone.
/// </remarks>
internal static unsafe class ConvPanels
{
    // A panel of 256 steps by 14 channels takes 14 KiB: it stays in the L1 while the panels of pixels pass by from the L2.
    private const int DepthBlock = 256;

    // Channels by pixels that one task makes: their sums take 640 KiB. Many channels and few pixels save gathering the pixels
    // anew; weights that are larger than half an L3 are read the less often the more pixels there are.
    private const int BlockChannels = 1280;
    private const int BlockPanels = 4;
    private const long LargeWeights = 1 << 21;

    // 4 KiB: at multiples of that all rows lie in one set of an L1 of 32 KiB, and drive one another out.
    private const int SetStride = 1024;

    // Rows of weights that one task packs.
    private const int StepsPerTask = 16;

    // Enough for 16 threads to end nearly together.
    private const int EnoughTasks = 32;

    /// <summary>Whether a group has enough channels to fill a panel of weights.</summary>
    public static bool Suits(Conv2dGeometry g) => g.GroupO >= 12 && g.GroupC * g.KernelArea >= 8;

    /// <summary>How many steps are summed up before the sum is added to that of the steps before.</summary>
    public static int DepthOf(int steps) => Even(steps, Pieces(steps, DepthBlock), 8);

    /// <summary>
    /// y = conv(x gate, w), stored by way of the epilogue; the gate, one factor for each image and channel, may be null. Moments are those of
    /// the sums.
    /// </summary>
    public static void Run<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, float* x, float* gate, ConvWeight w, in ConvEpilogue epilogue, float* y, ConvMoments? moments = null)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        int steps = g.GroupC * g.KernelArea, depth = DepthOf(steps), depthBlocks = Pieces(steps, depth);
        int panels = Pieces(g.GroupO, TKernel.Rows);
        long pixels = (long)g.N * g.OH * g.OW;
        long pixelPanels = (pixels + TKernel.Columns - 1) / TKernel.Columns;
        bool inPlace = ReadsInPlace<TKernel>(g, w);
        var storage = device.Pool.Rent(
            inPlace ? 0 : (long)g.Groups * depthBlocks * panels * PanelLength<TKernel>(depth) * sizeof(float), "conv2d");
        try
        {
            float* packed = inPlace ? null : (float*)storage.Address;
            if (!inPlace)
                PackWeights<TKernel>(device.Team, g, w, panels, depth, packed);

            int spread = (long)g.GroupO * steps > LargeWeights ? 2 : 1;
            int parts = Pieces(panels, BlockChannels / spread / TKernel.Rows), perPart = Pieces(panels, parts);
            long wanted = pixelPanels * parts * g.Groups / EnoughTasks;
            int perBlock = (int)Math.Clamp(wanted, 1, BlockPanels * spread);
            int blocks = checked((int)((pixelPanels + perBlock - 1) / perBlock));
            perBlock = (int)((pixelPanels + blocks - 1) / blocks);
            var source = new ConvPixels(g, gate);
            var stored = epilogue;
            moments?.Begin(g.O, blocks);
            device.Team.For(blocks * g.Groups * parts, task =>
            {
                int part = task % parts, group = task / parts % g.Groups, block = task / parts / g.Groups;
                long first = block * (long)perBlock * TKernel.Columns;
                int count = (int)Math.Min(perBlock * TKernel.Columns, pixels - first);
                // Likely the thread's next block.
                long next = first + ((long)perBlock * TKernel.Columns);
                Block<V, TKernel>(
                    g, source, group, part * perPart, Math.Min(perPart, panels - (part * perPart)), panels, block, first, count, next, depth, x,
                    w, packed, stored, y, moments);
            });
        }
        finally
        {
            storage.Release();
        }
    }

    private static void Block<V, TKernel>(
        Conv2dGeometry g, ConvPixels source, int group, int firstPanel, int panelCount, int panels, int block, long firstPixel, int pixels,
        long nextPixel, int depth, float* x, ConvWeight w, float* packed, in ConvEpilogue epilogue, float* y, ConvMoments? moments)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        if (pixels <= 0)
            return;
        int steps = g.GroupC * g.KernelArea, pixelPanels = Pieces(pixels, TKernel.Columns);
        int rows = panelCount * TKernel.Rows, stride = pixelPanels * TKernel.Columns;
        float* b = PackBuffers.A((long)stride * depth);
        float* sums = PackBuffers.B((long)rows * stride);
        var runs = stackalloc PixelRun[stride];
        int runCount = source.Runs(firstPixel, pixels, TKernel.Columns, runs);
        var ahead = stackalloc PrefetchedBlock[stride];
        var tile = default(TileEpilogue);
        for (int k = 0; k < steps; k += depth)
        {
            int length = Math.Min(depth, steps - k);
            bool isLast = k + length == steps;
            source.Gather<V>(x, group, k, length, runs, runCount, TKernel.Columns, b);
            int asked = 0, aheadCount = isLast ? source.Ahead(x, group, 0, depth, nextPixel, pixels, ahead)
                : source.Ahead(x, group, k + depth, Math.Min(depth, steps - k - depth), firstPixel, pixels, ahead);
            bool inPlace = packed == null;
            float* a = inPlace ? w.Data + (group * w.GroupStride) + (firstPanel * TKernel.Rows * w.TargetStride) + k
                : packed + (((((long)group * Pieces(steps, depth)) + (k / depth)) * panels) + firstPanel) * PanelLength<TKernel>(depth);
            long panelStride = inPlace ? TKernel.Rows * w.TargetStride : PanelLength<TKernel>(depth);
            for (int i = 0; i < panelCount; i++, a += panelStride)
            {
                int filled = Math.Min(TKernel.Rows, g.GroupO - ((firstPanel + i) * TKernel.Rows));
                var nextPanel = inPlace ? new PrefetchedBlock(a + panelStride, w.TargetStride, TKernel.Rows, length)
                    : new PrefetchedBlock(a + panelStride, 0, 1, panelStride);
                for (int j = 0; j < pixelPanels; j++)
                {
                    int at = j * TKernel.Columns;
                    float* c = sums + ((long)i * TKernel.Rows * stride) + at;
                    var place = new TilePlace(
                        g, group, (firstPanel + i) * TKernel.Rows, TKernel.Rows, firstPixel + at, Math.Min(TKernel.Columns, pixels - at));
                    if (isLast)
                        place.Prefetch(epilogue, y);
                    while (asked < aheadCount && ahead[asked].IsDone)
                        asked++;
                    var operands = new TilePanels(a, inPlace ? 1 : TKernel.Rows, b + ((long)at * length), TKernel.Columns)
                    {
                        ARowStride = inPlace ? w.TargetStride : 1,
                        Fetch = asked < aheadCount && nextPanel.IsDone ? ahead + asked : &nextPanel,
                    };
                    if (filled == TKernel.Rows && 2 * (pixels - at) > TKernel.Columns)
                        TKernel.Tile(length, operands, c, stride, tile);
                    else
                        TKernel.Edge(length, operands, c, stride, tile, filled, Math.Min(TKernel.Columns, pixels - at));
                    if (isLast)
                        place.Store<V>(epilogue, c, stride, y);
                }

                if (isLast)
                {
                    moments?.Add<V>(
                        block, (group * g.GroupO) + ((firstPanel + i) * TKernel.Rows), filled, sums + ((long)i * TKernel.Rows * stride),
                        stride, pixels);
                }
            }

            tile.AddC = true;
        }
    }

    /// <summary>Whether the kernel reads the weights where they lie: whole rows, that do not share a set of the L1.</summary>
    private static bool ReadsInPlace<TKernel>(Conv2dGeometry g, ConvWeight w)
        where TKernel : struct, IMicroKernel =>
        TKernel.ReadsScatteredRows && g.KernelArea == 1 && w.SourceStride == 1 && w.TargetStride % SetStride != 0
        && g.GroupO % TKernel.Rows % TKernel.RowStep == 0;

    /// <summary>Orders the weights as the tiles read them: [group][block of steps][panel][step, TKernel.Rows].</summary>
    private static void PackWeights<TKernel>(ThreadTeam team, Conv2dGeometry g, ConvWeight w, int panels, int depth, float* packed)
        where TKernel : struct, IMicroKernel
    {
        if (g.KernelArea > 1 || w.TargetStride > 1)
        {
            team.For(g.Groups * panels, task => PackPanel<TKernel>(g, w, task / panels, task % panels, panels, depth, packed));
            return;
        }

        // The channels of a step lie side by side: panel by panel they would be read in strips, at half the speed.
        int blocks = Pieces(g.GroupC, depth), pieces = Pieces(depth, StepsPerTask);
        team.For(g.Groups * blocks * pieces, task =>
        {
            int group = task / pieces / blocks, first = task % pieces * StepsPerTask, step = (task / pieces % blocks * depth) + first;
            Packing.PackSteps(
                w.Data + (group * w.GroupStride) + (step * w.SourceStride), w.SourceStride, g.GroupO,
                Math.Min(Math.Min(StepsPerTask, depth - first), g.GroupC - step), TKernel.Rows,
                packed + ((long)(task / pieces) * panels * PanelLength<TKernel>(depth)) + (first * TKernel.Rows), PanelLength<TKernel>(depth));
        });
    }

    private static void PackPanel<TKernel>(Conv2dGeometry g, ConvWeight w, int group, int panel, int panels, int depth, float* packed)
        where TKernel : struct, IMicroKernel
    {
        int area = g.KernelArea, steps = g.GroupC * area, filled = Math.Min(TKernel.Rows, g.GroupO - (panel * TKernel.Rows));
        float* from = w.Data + (group * w.GroupStride) + (panel * TKernel.Rows * w.TargetStride);
        for (int k = 0; k < steps; k += depth)
        {
            int length = Math.Min(depth, steps - k);
            float* to = packed + (((((long)group * Pieces(steps, depth)) + (k / depth)) * panels) + panel) * PanelLength<TKernel>(depth);
            if (w.SourceStride == area && w.TapStride == 1)
            {
                // Short rows far apart, from memory: asked for one block ahead.
                int next = Math.Clamp(steps - k - length, 0, depth);
                new PrefetchedBlock(from + k + length, w.TargetStride, filled, next).All();
                Packing.Pack(from + k, w.TargetStride, 1, filled, length, TKernel.Rows, to);
                continue;
            }

            for (int step = k; step < k + length; step++, to += TKernel.Rows)
            {
                float* place = from + (step / area * w.SourceStride) + w.FirstTap + (step % area * w.TapStride);
                for (int r = 0; r < TKernel.Rows; r++)
                    to[r] = r < filled ? place[r * w.TargetStride] : 0;
            }
        }
    }

    // Packing writes beyond a panel's end.
    private static long PanelLength<TKernel>(int depth)
        where TKernel : struct, IMicroKernel => (TKernel.Rows * depth) + Packing.Overrun;
}

/// <summary>Where a tile of sums belongs: some channels of one group by pixels that may lie in several images.</summary>
internal readonly unsafe struct TilePlace(Conv2dGeometry g, int group, int firstChannel, int rows, long firstPixel, int pixels)
{
    private readonly int _channel = (group * g.GroupO) + firstChannel;
    private readonly int _channels = Math.Min(rows, g.GroupO - firstChannel);

    /// <summary>Asks for the places ahead of <see cref="Store{V}"/>.</summary>
    public void Prefetch(in ConvEpilogue epilogue, float* y)
    {
        for (int at = 0; at < pixels;)
        {
            var (start, count) = Piece(at);
            epilogue.Prefetch(_channels, count, y, start, Area);
            at += count;
        }
    }

    /// <summary>Stores the sums by way of the epilogue.</summary>
    public void Store<V>(in ConvEpilogue epilogue, float* sums, long stride, float* y)
        where V : unmanaged, IFloatLane<V>
    {
        for (int at = 0; at < pixels;)
        {
            var (start, count) = Piece(at);
            epilogue.Store<V>(sums + at, stride, _channels, count, _channel, 1, y, start, Area);
            at += count;
        }
    }

    private long Area => (long)g.OH * g.OW;

    /// <summary>The pixels of one image from a place of the tile on: where the first belongs, and how many.</summary>
    private (long Start, int Count) Piece(int at)
    {
        long image = (firstPixel + at) / Area, within = (firstPixel + at) % Area;
        return ((((image * g.O) + _channel) * Area) + within, (int)Math.Min(pixels - at, Area - within));
    }
}

/// <summary>Neighbouring results of one row, or of one image where pixels do not mix: where they read at the kernel's first tap.</summary>
internal struct PixelRun
{
    /// <summary>The first one's place in the block.</summary>
    public int At;

    public int Count;

    public int Image;

    public int Row;

    public int Column;
}

/// <summary>What the results of a convolution read, as rows: one for each input channel and tap, with a column for each result.</summary>
internal readonly unsafe struct ConvPixels
{
    // The same pixels of the channels that come next: no hardware sees that pattern.
    private const int ChannelsAhead = 3;

    private readonly Conv2dGeometry _g;

    private readonly float* _gate;

    /// <param name="geometry">The convolution.</param>
    /// <param name="gate">One factor for each image and channel, or null.</param>
    public ConvPixels(Conv2dGeometry geometry, float* gate)
    {
        _g = geometry;
        _gate = gate;
    }

    /// <summary>Cuts a range of results into runs, none of which crosses a multiple of <paramref name="panel"/>.</summary>
    public int Runs(long first, int count, int panel, PixelRun* runs)
    {
        int number = 0;
        for (int at = 0; at < count;)
        {
            long pixel = first + at;
            int column = (int)(pixel % _g.OW), row = (int)(pixel / _g.OW % _g.OH);
            int length = Math.Min(Math.Min(count - at, _g.OW - column), panel - (at % panel));
            runs[number++] = new PixelRun
            {
                At = at,
                Count = length,
                Image = (int)(pixel / _g.OW / _g.OH),
                Row = (row * _g.Stride.Height) - _g.Padding.Height,
                Column = (column * _g.Stride.Width) - _g.Padding.Width,
            };
            at += length;
        }

        return number;
    }

    /// <summary>Names what <see cref="Gather"/> will read of some channels, where pixels do not mix: an image at a time.</summary>
    /// <returns>How many parts.</returns>
    public int Ahead(float* x, int group, int firstChannel, int channels, long firstPixel, int count, PrefetchedBlock* parts)
    {
        if (_g.KernelArea > 1 || _g.Stride != 1 || _g.Padding != 0)
            return 0;
        long area = (long)_g.H * _g.W, last = Math.Min(firstPixel + count, _g.N * area);
        int number = 0;
        for (long pixel = firstPixel; pixel < last;)
        {
            long image = pixel / area, within = pixel % area, length = Math.Min(last - pixel, area - within);
            long channel = (((image * _g.Groups) + group) * _g.GroupC) + firstChannel;
            parts[number++] = new PrefetchedBlock(x + (channel * area) + within, area, channels, length);
            pixel += length;
        }

        return number;
    }

    /// <summary>Copies steps of one group into panels [panel][step, panel width], zeros where the image ends.</summary>
    /// <param name="x">All images.</param>
    /// <param name="group">The group.</param>
    /// <param name="first">The first step: a channel of the group and a tap.</param>
    /// <param name="steps">How many.</param>
    /// <param name="runs">The results.</param>
    /// <param name="runCount">How many runs.</param>
    /// <param name="panel">The width of a panel.</param>
    /// <param name="to">The panels.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Gather<V>(float* x, int group, int first, int steps, PixelRun* runs, int runCount, int panel, float* to)
        where V : unmanaged, IFloatLane<V>
    {
        int area = _g.KernelArea, kernelWidth = _g.Kernel.Width, stride = _g.Stride.Width, height = _g.H, width = _g.W;
        int down = _g.Dilation.Height, right = _g.Dilation.Width;
        long plane = (long)height * width;
        if (area == 1 && stride == 1 && _g.Padding == 0)
        {
            for (int r = 0; r < runCount; r++)
            {
                var run = runs[r];
                long firstChannel = (((long)run.Image * _g.Groups) + group) * _g.GroupC + first;
                Points<V>(
                    x + (firstChannel * plane) + ((long)run.Row * width) + run.Column, plane, _gate == null ? null : _gate + firstChannel, steps,
                    run.Count, panel, to + ((long)(run.At / panel) * panel * steps) + (run.At % panel));
            }

            return;
        }

        for (int r = 0; r < runCount; r++)
        {
            var run = runs[r];
            float* target = to + ((long)(run.At / panel) * panel * steps) + (run.At % panel);
            float* image = x + ((((long)run.Image * _g.Groups) + group) * _g.GroupC * plane);
            int channel = first / area, tap = first % area;
            for (int k = 0; k < steps; k++, target += panel)
            {
                int row = run.Row + (tap / kernelWidth * down), column = run.Column + (tap % kernelWidth * right);
                float* from = image + (channel * plane) + ((long)row * width) + column;
                if (tap % kernelWidth == 0)
                    Prefetch(from + (ChannelsAhead * plane), run.Count * stride);
                if (++tap == area)
                    (channel, tap) = (channel + 1, 0);
                if (row < 0 || row >= height)
                    Zero<V>(target, run.Count);
                else if (column >= 0 && column + (run.Count * stride) <= width)
                    Copy<V>(from, stride, target, run.Count);
                else
                    CopyInside<V>(from, stride, column, width, target, run.Count);
            }
        }
    }

    /// <summary>Copies neighbouring pixels of some channels, each channel's multiplied by its gate if there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Points<V>(float* from, long plane, float* gate, int channels, int count, int panel, float* to)
        where V : unmanaged, IFloatLane<V>
    {
        int whole = count / V.Width * V.Width, rest = count - whole;
        for (int k = 0; k < channels; k++, from += plane, to += panel)
        {
            var f = V.Broadcast(gate == null ? 1 : gate[k]);
            for (int i = 0; i < whole; i += V.Width)
                V.Store(V.Load(from + i) * f, to + i);
            if (rest > 0)
                V.StorePart(V.LoadPart(from + whole, rest, 0) * f, to + whole, rest);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Zero<V>(float* target, int count)
        where V : unmanaged, IFloatLane<V>
    {
        int i = 0;
        for (; i + V.Width <= count; i += V.Width)
            V.Store(V.Of(0), target + i);
        for (; i < count; i++)
            target[i] = 0;
    }

    /// <summary>Copies every stride-th element; the elements between them are read too, and those behind the last one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Copy<V>(float* from, int stride, float* target, int count)
        where V : unmanaged, IFloatLane<V>
    {
        if (stride == 1)
        {
            ConvLayout.CopyRow<V>(from, target, count);
            return;
        }

        int i = 0;
        if (stride == 2 && Avx512F.IsSupported)
        {
            var even = Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            for (; i + 16 <= count; i += 16)
            {
                Avx512F.PermuteVar16x32x2(Vector512.Load(from + (2 * i)), even, Vector512.Load(from + (2 * i) + 16))
                    .Store(target + i);
            }
        }

        if (stride == 2 && Sse.IsSupported)
        {
            for (; i + 4 <= count; i += 4)
                Sse.Shuffle(Vector128.Load(from + (2 * i)), Vector128.Load(from + (2 * i) + 4), 0x88).Store(target + i);
        }

        for (; i < count; i++)
            target[i] = from[i * stride];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* from, int count)
    {
        const int Line = Pool.Alignment / sizeof(float);
        if (!Sse.IsSupported)
            return;
        for (int i = 0; i < count + Line - 1; i += Line)
            Sse.Prefetch0(from + i);
    }

    private static void CopyInside<V>(float* from, int stride, int column, int width, float* target, int count)
        where V : unmanaged, IFloatLane<V>
    {
        int first = column >= 0 ? 0 : Math.Min(count, (stride - 1 - column) / stride);
        int end = Math.Clamp((width - column + stride - 1) / stride, first, count);
        for (int i = 0; i < first; i++)
            target[i] = 0;
        // The elements skipped behind the last one may lie outside the image.
        int roomy = stride == 1 ? end : Math.Max(first, end - 1);
        Copy<V>(from + (first * stride), stride, target + first, roomy - first);
        for (int i = roomy; i < end; i++)
            target[i] = from[i * stride];
        for (int i = end; i < count; i++)
            target[i] = 0;
    }
}
