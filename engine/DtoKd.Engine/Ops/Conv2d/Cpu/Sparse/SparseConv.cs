using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static DtoKd.Engine.Cpu.Split;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// A 1 x 1 convolution of stride 1 that multiplies only what is not zero: behind a ReLU that is about every second value. A pixel is a
/// row: each of its channels that is not zero adds its multiple of a row of the weights to the pixel's sums, seven vectors in
/// registers.
/// </summary>
/// <remarks>
/// The sums take the terms in the order, and the blocks, in which <see cref="ConvPanels"/> takes them, less those that are zero: the
/// two give the same bytes, as long as the weights are finite. So which of them runs, by a sample of the input, shows in the time
/// only; of the moments, taken by other blocks, also in the last digits. A weight is loaded for each multiply-add here, one a clock, which with the pixels' values takes these products to
/// four fifths of the peak at best; the dense ones run at nine tenths, of twice as many.
/// </remarks>
internal static unsafe class SparseConv
{
    // Sums of a pixel made at a time: twice seven chains hide the latency of multiply-adds, and what they need of the weights for a mask
    // of channels, 28 KiB with AVX-512, stays in the L1 while the pixels pass by.
    private const int Vectors = 7;

    // Channels of a mask.
    private const int StepsAtOnce = 64;

    // A block's channels take half an L2 where there are a thousand of them; weights that come from memory are read half as often.
    private const int BlockPixels = 112;
    private const long LargeWeights = 1 << 22;

    // Enough for 16 threads to have one each.
    private const int EnoughTasks = 16;

    // Measured: at three quarters of the terms both ways take the same time.
    private const double MostTerms = 0.7;

    // With fewer, half of them zero, a pixel's sums are stored after two dozen terms or less (an estimate).
    private const int FewestChannels = 48;

    // Packing a weight takes about as long as half of its products with some tens of pixels (an estimate).
    private const int FewestPixels = 64;

    private const int SampledVectors = 256;

    /// <summary>Whether skipping the zeros of <paramref name="x"/> takes less time than multiplying them.</summary>
    public static bool Suits<V>(Conv2dGeometry g, float* x)
        where V : unmanaged, IFloatLane<V>
    {
        if (g is not { KernelArea: 1, Groups: 1 } || g.Stride != 1 || g.Padding != 0)
            return false;
        if (g.C < FewestChannels || (long)g.N * g.H * g.W < FewestPixels)
            return false;
        int panel = Vectors * V.Width;
        double padded = (double)Pieces(g.O, panel) * panel / g.O;
        return padded * NonzeroShare(x, (long)g.N * g.C * g.H * g.W) < MostTerms;
    }

    /// <inheritdoc cref="ConvPanels.Run"/>
    public static void Run<V>(
        CpuDevice device, Conv2dGeometry g, float* x, float* gate, ConvWeight w, in ConvEpilogue epilogue, float* y, ConvMoments? moments = null)
        where V : unmanaged, IFloatLane<V>
    {
        var cut = new Cut(g.C, ConvPanels.DepthOf(g.C));
        int panel = Vectors * V.Width, panels = Pieces(g.O, panel);
        var storage = device.Pool.Rent((long)panels * cut.Masks * PieceLength(panel) * sizeof(float), "conv2d");
        try
        {
            float* packed = (float*)storage.Address;
            device.Team.For(panels * cut.Masks, task =>
            {
                int first = task / cut.Masks * panel, mask = task % cut.Masks;
                Packing.Pack(
                    w.Data + (first * w.TargetStride) + (cut.Start(mask) * w.SourceStride), w.TargetStride, w.SourceStride,
                    Math.Min(panel, g.O - first), cut.Length(mask), panel, packed + ((long)task * PieceLength(panel)));
            });
            long pixels = (long)g.N * g.OH * g.OW;
            int wanted = (long)g.O * g.C > LargeWeights ? 2 * BlockPixels : BlockPixels;
            int blocks = checked((int)((pixels + wanted - 1) / wanted)), perBlock = (int)((pixels + blocks - 1) / blocks);
            int parts = Math.Clamp(EnoughTasks / blocks, 1, panels);
            var source = new ConvPixels(g, gate);
            var stored = epilogue;
            moments?.Begin(g.O, blocks);
            device.Team.For(blocks * parts, task =>
            {
                int part = task % parts, firstPanel = panels * part / parts, endPanel = panels * (part + 1) / parts;
                long first = (long)(task / parts) * perBlock;
                int count = (int)Math.Min(perBlock, pixels - first);
                if (count > 0)
                    Block<V>(g, cut, source, x, task / parts, first, count, packed, firstPanel, endPanel, stored, y, moments);
            });
        }
        finally
        {
            storage.Release();
        }
    }

    private static void Block<V>(
        Conv2dGeometry g, in Cut cut, ConvPixels source, float* x, int block, long firstPixel, int pixels, float* packed,
        int firstPanel, int endPanel, in ConvEpilogue epilogue, float* y, ConvMoments? moments)
        where V : unmanaged, IFloatLane<V>
    {
        // Products takes pixels by twos.
        int panel = Vectors * V.Width, line = (pixels + 7) & ~7, even = pixels + (pixels & 1);
        float* rows = PackBuffers.A(((long)cut.Masks * even * (StepsAtOnce + 2)) + ((long)line * StepsAtOnce));
        var masks = (ulong*)(rows + ((long)cut.Masks * even * StepsAtOnce));
        Rows<V>(g, cut, source, x, firstPixel, pixels, even, rows, masks, (float*)(masks + ((long)cut.Masks * even)));

        float* total = PackBuffers.B((2L * even * panel) + ((long)line * panel));
        float* partial = total + ((long)even * panel), turned = partial + ((long)even * panel);
        for (int p = firstPanel; p < endPanel; p++)
        {
            for (int mask = 0; mask < cut.Masks; mask++)
            {
                float* w = packed + ((((long)p * cut.Masks) + mask) * PieceLength(panel));
                bool begins = mask % cut.MasksPerBlock == 0, ends = mask + 1 == cut.Masks || (mask + 1) % cut.MasksPerBlock == 0;
                Products<V>(
                    masks + ((long)mask * even), rows + ((long)mask * even * StepsAtOnce), even, w, begins ? null : partial,
                    ends && mask >= cut.MasksPerBlock ? total : null, ends ? total : partial);
            }

            Packing.Transpose(total, panel, pixels, panel, turned, line);
            new TilePlace(g, 0, p * panel, panel, firstPixel, pixels).Store<V>(epilogue, turned, line, y);
            moments?.Add<V>(block, p * panel, Math.Min(panel, g.O - (p * panel)), turned, line, pixels);
        }
    }

    /// <summary>
    /// Turns the channels of some pixels into rows [mask][pixel][64], and notes which of them are not zero. A pixel beyond the last has none.
    /// </summary>
    private static void Rows<V>(
        Conv2dGeometry g, in Cut cut, ConvPixels source, float* x, long firstPixel, int pixels, int even, float* rows, ulong* masks,
        float* lines)
        where V : unmanaged, IFloatLane<V>
    {
        int line = (pixels + 7) & ~7;
        var runs = stackalloc PixelRun[pixels];
        int runCount = source.Runs(firstPixel, pixels, line, runs);
        for (int mask = 0; mask < cut.Masks; mask++, rows += even * StepsAtOnce, masks += even)
        {
            int channels = cut.Length(mask);
            source.Gather<V>(x, 0, cut.Start(mask), channels, runs, runCount, line, lines);
            Packing.Transpose(lines, line, channels, pixels, rows, StepsAtOnce);
            // Behind the last channel the row repeats some of them.
            ulong inside = ulong.MaxValue >> (StepsAtOnce - channels);
            masks[even - 1] = 0;
            for (int p = 0; p < pixels; p++)
                masks[p] = Nonzeros(rows + (p * StepsAtOnce)) & inside;
        }
    }

    /// <summary>
    /// Some pixels' sums over one mask of channels: to = from + rows w + plus, where from and plus may be null for 0. An even number of
    /// pixels.
    /// </summary>
    /// <remarks>
    /// Two pixels take turns: fourteen chains hide the latency of multiply-adds, seven are 7 % slower. Which of the two has more terms
    /// nobody can foresee; the rest of those follows alone.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Products<V>(ulong* masks, float* rows, int count, float* w, float* from, float* plus, float* to)
        where V : unmanaged, IFloatLane<V>
    {
        for (int pixel = 0; pixel < count; pixel += 2)
        {
            float* second = rows + StepsAtOnce;
            V zero = V.Of(0);
            V c0 = zero, c1 = zero, c2 = zero, c3 = zero, c4 = zero, c5 = zero, c6 = zero;
            V d0 = zero, d1 = zero, d2 = zero, d3 = zero, d4 = zero, d5 = zero, d6 = zero;
            if (from != null)
            {
                Add(from, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5, ref c6);
                Add(from + (Vectors * V.Width), ref d0, ref d1, ref d2, ref d3, ref d4, ref d5, ref d6);
                from += 2 * Vectors * V.Width;
            }

            ulong c = masks[pixel], d = masks[pixel + 1];
            for (int both = Math.Min(BitOperations.PopCount(c), BitOperations.PopCount(d)); both > 0; both--)
            {
                c = Step(c, rows, w, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5, ref c6);
                d = Step(d, second, w, ref d0, ref d1, ref d2, ref d3, ref d4, ref d5, ref d6);
            }

            while (c != 0)
                c = Step(c, rows, w, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5, ref c6);
            while (d != 0)
                d = Step(d, second, w, ref d0, ref d1, ref d2, ref d3, ref d4, ref d5, ref d6);

            if (plus != null)
            {
                Add(plus, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5, ref c6);
                Add(plus + (Vectors * V.Width), ref d0, ref d1, ref d2, ref d3, ref d4, ref d5, ref d6);
                plus += 2 * Vectors * V.Width;
            }

            Store(c0, c1, c2, c3, c4, c5, c6, to);
            Store(d0, d1, d2, d3, d4, d5, d6, to + (Vectors * V.Width));
            to += 2 * Vectors * V.Width;
            rows = second + StepsAtOnce;
        }
    }

    /// <summary>Adds the multiple of the weights for a mask's first channel, and returns the other channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Step<V>(
        ulong mask, float* row, float* w, ref V c0, ref V c1, ref V c2, ref V c3, ref V c4, ref V c5, ref V c6)
        where V : unmanaged, IFloatLane<V>
    {
        int step = BitOperations.TrailingZeroCount(mask);
        V x = V.Broadcast(row[step]);
        w += step * Vectors * V.Width;
        V.AddProduct(ref c0, x, w);
        V.AddProduct(ref c1, x, w + V.Width);
        V.AddProduct(ref c2, x, w + (2 * V.Width));
        V.AddProduct(ref c3, x, w + (3 * V.Width));
        V.AddProduct(ref c4, x, w + (4 * V.Width));
        V.AddProduct(ref c5, x, w + (5 * V.Width));
        V.AddProduct(ref c6, x, w + (6 * V.Width));
        return mask & (mask - 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<V>(float* sums, ref V c0, ref V c1, ref V c2, ref V c3, ref V c4, ref V c5, ref V c6)
        where V : unmanaged, IFloatLane<V>
    {
        c0 += V.Load(sums);
        c1 += V.Load(sums + V.Width);
        c2 += V.Load(sums + (2 * V.Width));
        c3 += V.Load(sums + (3 * V.Width));
        c4 += V.Load(sums + (4 * V.Width));
        c5 += V.Load(sums + (5 * V.Width));
        c6 += V.Load(sums + (6 * V.Width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V>(V c0, V c1, V c2, V c3, V c4, V c5, V c6, float* sums)
        where V : unmanaged, IFloatLane<V>
    {
        V.Store(c0, sums);
        V.Store(c1, sums + V.Width);
        V.Store(c2, sums + (2 * V.Width));
        V.Store(c3, sums + (3 * V.Width));
        V.Store(c4, sums + (4 * V.Width));
        V.Store(c5, sums + (5 * V.Width));
        V.Store(c6, sums + (6 * V.Width));
    }

    /// <summary>Bit i: whether x[i] is not zero.</summary>
    private static ulong Nonzeros(float* x)
    {
        ulong bits = 0;
        for (int i = 0; i < StepsAtOnce; i += Vector512<float>.Count)
            bits |= Zeros(x + i) << i;
        return ~bits;
    }

    /// <summary>Bit i: whether x[i] is zero, of one vector.</summary>
    private static ulong Zeros(float* x) => Vector512.Equals(Vector512.Load(x), Vector512<float>.Zero).ExtractMostSignificantBits();

    /// <summary>The share of elements that are not zero, in a sample of vectors from all over the tensor.</summary>
    private static double NonzeroShare(float* x, long length)
    {
        long vectors = Math.Min(SampledVectors, length / Vector512<float>.Count), zeros = 0;
        if (vectors == 0)
            return 1;
        for (long i = 0; i < vectors; i++)
            zeros += BitOperations.PopCount(Zeros(x + ((length - Vector512<float>.Count) * i / vectors)));
        return 1 - ((double)zeros / (vectors * Vector512<float>.Count));
    }

    /// <summary>Elements of the weights for a mask of channels and a panel of results, whole lines of the cache.</summary>
    private static int PieceLength(int panel)
    {
        const int Line = Pool.Alignment / sizeof(float);
        return Pieces((StepsAtOnce * panel) + Packing.Overrun, Line) * Line;
    }

    /// <summary>How channels are cut: into blocks whose sums are added up, and these into masks.</summary>
    private readonly struct Cut(int channels, int depth)
    {
        private readonly int _length = Even(depth, Pieces(depth, StepsAtOnce), 8);

        public int MasksPerBlock => Pieces(depth, _length);

        public int Masks => (channels / depth * MasksPerBlock) + Pieces(channels % depth, _length);

        public int Start(int mask) => (mask / MasksPerBlock * depth) + (mask % MasksPerBlock * _length);

        public int Length(int mask) => Math.Min(Math.Min(_length, depth - (mask % MasksPerBlock * _length)), channels - Start(mask));
    }
}
