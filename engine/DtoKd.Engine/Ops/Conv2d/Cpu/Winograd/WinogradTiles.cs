using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The 2 x 2 tiles of the results of a 3 x 3 convolution, counted through all images, cut into blocks; and their transforms.
/// </summary>
/// <remarks>
/// The rows that a block needs of one channel are copied into a band with zeros around them, even and odd columns apart, so
/// that the same element of neighbouring tiles is one vector. A vector that holds fewer tiles spills over what follows, which
/// is written later.
/// </remarks>
internal sealed unsafe class WinogradTiles
{
    private readonly Conv2dGeometry _g;
    private readonly int _rows;
    private readonly int _columns;
    private readonly int _half;
    private readonly long _total;

    /// <param name="geometry">The convolution.</param>
    /// <param name="blockTiles">Tiles of a block.</param>
    /// <param name="width">Floats of a vector.</param>
    public WinogradTiles(Conv2dGeometry geometry, int blockTiles, int width)
    {
        _g = geometry;
        _rows = (geometry.OH + 1) / 2;
        _columns = (geometry.OW + 1) / 2;
        _total = (long)geometry.N * _rows * _columns;
        _half = Math.Max(_columns + 1 + width, ((geometry.Padding.Width + geometry.W) / 2) + 2);
        _half = (_half + width - 1) / width * width;
        BlockTiles = blockTiles;
        Blocks = checked((int)((_total + blockTiles - 1) / blockTiles));
        int bandRows = (2 * Math.Min(_rows, ((blockTiles + _columns - 2) / _columns) + 1)) + 2;
        BandLength = 2L * bandRows * _half;
        LineLength = 8L * _half;
    }

    public int BlockTiles { get; }

    public int Blocks { get; }

    /// <summary>Floats of scratch for the band of one channel.</summary>
    public long BandLength { get; }

    /// <summary>Floats of scratch for two rows of results, and twice as halves.</summary>
    public long LineLength { get; }

    /// <summary>Tiles of a block: fewer in the last.</summary>
    public int CountOf(int block) => (int)Math.Min(BlockTiles, _total - ((long)block * BlockTiles));

    /// <summary>V = B' d B for the tiles of one channel.</summary>
    /// <param name="x">All images [N, C, H, W].</param>
    /// <param name="channel">The channel, of all groups.</param>
    /// <param name="block">The block of tiles.</param>
    /// <param name="band">Scratch.</param>
    /// <param name="to">Where the first element of the first tile belongs.</param>
    /// <param name="panelTiles">Tiles that lie side by side.</param>
    /// <param name="panelStride">From there to the next so many.</param>
    /// <param name="elementStride">From one element of a tile to the next.</param>
    public void TransformSource<V>(
        float* x, int channel, int block, float* band, float* to, int panelTiles, long panelStride, long elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        int at = 0, end = CountOf(block);
        while (at < end)
        {
            var (image, row, column) = Place(block, at);
            int last = Math.Min(_rows - 1, row + ((column + end - at - 1) / _columns));
            float* plane = x + ((((long)image * _g.C) + channel) * _g.H * _g.W);
            FillBand<V>(plane, (2 * row) - _g.Padding.Height, (2 * (last - row)) + 4, _g.H, _g.W, _g.Padding.Width, band);
            for (float* from = band; row <= last; row++, column = 0, from += 4 * _half)
            {
                int stop = Math.Min(_columns, column + end - at);
                while (column < stop)
                {
                    int within = at % panelTiles, count = Math.Min(Math.Min(V.Width, stop - column), panelTiles - within);
                    SourceTiles<V>(from + column, _half, to + (at / panelTiles * panelStride) + within, elementStride);
                    column += count;
                    at += count;
                }
            }
        }
    }

    /// <summary>D = A dY A' for the tiles of one channel of a gradient dy [N, O, OH, OW]: the transpose of what makes Y.</summary>
    /// <inheritdoc cref="TransformSource{V}"/>
    public void TransformGradient<V>(float* dy, int channel, int block, float* band, float* to, long elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        int at = 0, end = CountOf(block);
        while (at < end)
        {
            var (image, row, column) = Place(block, at);
            int last = Math.Min(_rows - 1, row + ((column + end - at - 1) / _columns));
            float* plane = dy + ((((long)image * _g.O) + channel) * _g.OH * _g.OW);
            FillBand<V>(plane, 2 * row, (2 * (last - row)) + 2, _g.OH, _g.OW, 0, band);
            for (float* from = band; row <= last; row++, column = 0, from += 4 * _half)
            {
                int stop = Math.Min(_columns, column + end - at);
                for (; column < stop; column += V.Width)
                {
                    GradientTiles<V>(from + column, _half, to + at, elementStride);
                    at += Math.Min(V.Width, stop - column);
                }
            }
        }
    }

    /// <summary>Y = A' M A for the tiles of one channel, stored by way of an epilogue.</summary>
    /// <param name="m">The first element of the first tile.</param>
    /// <param name="panelTiles">Tiles that lie side by side.</param>
    /// <param name="panelStride">From there to the next so many.</param>
    /// <param name="elementStride">From one element of a tile to the next.</param>
    /// <param name="block">The block of tiles.</param>
    /// <param name="line">Scratch: <see cref="LineLength"/>.</param>
    /// <param name="channel">The channel, of all groups.</param>
    /// <param name="epilogue">What is done to the results.</param>
    /// <param name="y">All results [N, O, OH, OW].</param>
    public void Collect<V>(
        float* m, int panelTiles, long panelStride, long elementStride, int block, float* line, int channel,
        in ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V>
    {
        float* halves = line + (4 * _half);
        int at = 0, end = CountOf(block);
        while (at < end)
        {
            var (image, row, column) = Place(block, at);
            int count = Math.Min(_columns - column, end - at);
            for (int done = 0; done < count;)
            {
                int within = at % panelTiles, step = Math.Min(Math.Min(V.Width, count - done), panelTiles - within);
                ResultTiles<V>(m + (at / panelTiles * panelStride) + within, elementStride, halves + done, _half);
                done += step;
                at += step;
            }

            int width = Math.Min(2 * count, _g.OW - (2 * column));
            long to = ((((((long)image * _g.O) + channel) * _g.OH) + (2 * row)) * _g.OW) + (2 * column);
            Interleave(halves, halves + _half, count, line);
            epilogue.Store<V>(line, 0, 1, width, channel, y, to, 0);
            if ((2 * row) + 1 == _g.OH)
                continue;
            Interleave(halves + (2 * _half), halves + (3 * _half), count, line);
            epilogue.Store<V>(line, 0, 1, width, channel, y, to + _g.OW, 0);
        }
    }

    private (int Image, int Row, int Column) Place(int block, int at)
    {
        long tile = ((long)block * BlockTiles) + at;
        return ((int)(tile / (_rows * _columns)), (int)(tile / _columns % _rows), (int)(tile % _columns));
    }

    /// <summary>Copies rows into the band: [rows, 2, half], the even columns of the padded row before the odd ones.</summary>
    private void FillBand<V>(float* plane, int first, int rows, int height, int width, int padding, float* band)
        where V : unmanaged, IFloatLane<V>
    {
        for (int i = 0; i < rows; i++, band += 2 * _half)
        {
            for (int j = 0; j < 2 * _half; j += V.Width)
                V.Store(V.Of(0), band + j);
            int row = first + i;
            if (row < 0 || row >= height)
                continue;
            float* even = band + (padding / 2), odd = even + _half;
            // With odd padding the row's first element is an odd column.
            if (padding % 2 == 0)
                Split(plane + ((long)row * width), width, even, odd);
            else
                Split(plane + ((long)row * width), width, odd, even + 1);
        }
    }

    /// <summary>Elements 0, 2, 4, ... and 1, 3, 5, ... of a row.</summary>
    private static void Split(float* row, int count, float* even, float* odd)
    {
        int i = 0;
        if (Sse.IsSupported)
        {
            for (; i + 8 <= count; i += 8)
            {
                Vector128<float> a = Vector128.Load(row + i), b = Vector128.Load(row + i + 4);
                Sse.Shuffle(a, b, 0x88).Store(even + (i / 2));
                Sse.Shuffle(a, b, 0xDD).Store(odd + (i / 2));
            }
        }

        for (; i < count; i++)
            (i % 2 == 0 ? even : odd)[i / 2] = row[i];
    }

    /// <summary>The reverse of <see cref="Split"/> for whole pairs; up to 3 more are written.</summary>
    private static void Interleave(float* even, float* odd, int pairs, float* row)
    {
        if (!Sse.IsSupported)
        {
            for (int i = 0; i < pairs; i++)
                (row[2 * i], row[(2 * i) + 1]) = (even[i], odd[i]);
            return;
        }

        for (int i = 0; i < pairs; i += 4)
        {
            Vector128<float> a = Vector128.Load(even + i), b = Vector128.Load(odd + i);
            Sse.UnpackLow(a, b).Store(row + (2 * i));
            Sse.UnpackHigh(a, b).Store(row + (2 * i) + 4);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SourceTiles<V>(float* band, int half, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        SourceRow<V>(band, half, out var a0, out var a1, out var a2, out var a3);
        SourceRow<V>(band + (4 * half), half, out var c0, out var c1, out var c2, out var c3);
        V.Store(a0 - c0, to);
        V.Store(a1 - c1, to + stride);
        V.Store(a2 - c2, to + (2 * stride));
        V.Store(a3 - c3, to + (3 * stride));
        SourceRow<V>(band + (2 * half), half, out var b0, out var b1, out var b2, out var b3);
        to += 4 * stride;
        V.Store(b0 + c0, to);
        V.Store(b1 + c1, to + stride);
        V.Store(b2 + c2, to + (2 * stride));
        V.Store(b3 + c3, to + (3 * stride));
        to += 4 * stride;
        V.Store(c0 - b0, to);
        V.Store(c1 - b1, to + stride);
        V.Store(c2 - b2, to + (2 * stride));
        V.Store(c3 - b3, to + (3 * stride));
        SourceRow<V>(band + (6 * half), half, out a0, out a1, out a2, out a3);
        to += 4 * stride;
        V.Store(b0 - a0, to);
        V.Store(b1 - a1, to + stride);
        V.Store(b2 - a2, to + (2 * stride));
        V.Store(b3 - a3, to + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SourceRow<V>(float* row, int half, out V t0, out V t1, out V t2, out V t3)
        where V : unmanaged, IFloatLane<V>
    {
        V d0 = V.Load(row), d1 = V.Load(row + half), d2 = V.Load(row + 1), d3 = V.Load(row + half + 1);
        t0 = d0 - d2;
        t1 = d1 + d2;
        t2 = d2 - d1;
        t3 = d1 - d3;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GradientTiles<V>(float* band, int half, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        V top0 = V.Load(band), top1 = V.Load(band + half);
        V low0 = V.Load(band + (2 * half)), low1 = V.Load(band + (3 * half));
        GradientRow(top0, top1, to, stride);
        GradientRow(top0 + low0, top1 + low1, to + (4 * stride), stride);
        GradientRow(top0 - low0, top1 - low1, to + (8 * stride), stride);
        GradientRow(-low0, -low1, to + (12 * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void GradientRow<V>(V left, V right, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        V.Store(left, to);
        V.Store(left + right, to + stride);
        V.Store(left - right, to + (2 * stride));
        V.Store(-right, to + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ResultTiles<V>(float* m, long stride, float* halves, int half)
        where V : unmanaged, IFloatLane<V>
    {
        ResultRow<V>(m, stride, out var top0, out var top1);
        ResultRow<V>(m + (4 * stride), stride, out var left, out var right);
        top0 += left;
        top1 += right;
        var (low0, low1) = (left, right);
        ResultRow<V>(m + (8 * stride), stride, out left, out right);
        top0 += left;
        top1 += right;
        low0 -= left;
        low1 -= right;
        ResultRow<V>(m + (12 * stride), stride, out left, out right);
        V.Store(top0, halves);
        V.Store(top1, halves + half);
        V.Store(low0 - left, halves + (2 * half));
        V.Store(low1 - right, halves + (3 * half));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ResultRow<V>(float* m, long stride, out V left, out V right)
        where V : unmanaged, IFloatLane<V>
    {
        V m1 = V.Load(m + stride), m2 = V.Load(m + (2 * stride));
        left = V.Load(m) + m1 + m2;
        right = m1 - m2 - V.Load(m + (3 * stride));
    }
}
