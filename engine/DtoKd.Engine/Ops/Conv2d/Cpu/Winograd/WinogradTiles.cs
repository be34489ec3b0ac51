using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The 2 x 2 tiles of the results of a 3 x 3 convolution, counted through all images, cut into blocks; and their way from the
/// images and back.
/// </summary>
/// <remarks>
/// The rows that a block needs of one channel are copied into a band with zeros around them, columns sorted by their remainder,
/// so that the same element of neighbouring tiles is one vector. A vector that holds fewer tiles spills over what follows, which
/// is written later.
/// </remarks>
internal sealed unsafe class WinogradTiles<TTransform>
    where TTransform : struct, IWinogradTransform
{
    // The same rows of the channels that come next: no hardware sees that pattern.
    private const int ChannelsAhead = 2;

    private readonly Conv2dGeometry _g;
    private readonly int _rows;
    private readonly int _columns;
    private readonly int _length;
    private readonly long _total;

    /// <param name="geometry">The convolution.</param>
    /// <param name="blockTiles">Tiles of a block, a multiple of the width.</param>
    /// <param name="width">Floats of a vector.</param>
    public WinogradTiles(Conv2dGeometry geometry, int blockTiles, int width)
    {
        _g = geometry;
        _rows = (geometry.OH + 1) / 2;
        _columns = (geometry.OW + 1) / 2;
        _total = (long)geometry.N * _rows * _columns;
        _length = Math.Max(_columns + 1 + Math.Min(width, Lane256.Width), ((geometry.Padding.Width + geometry.W) / Step) + 2);
        _length = (_length + width - 1) / width * width;
        BlockTiles = blockTiles;
        Blocks = checked((int)((_total + blockTiles - 1) / blockTiles));
        int tileRows = Math.Min(_rows, ((blockTiles + _columns - 2) / _columns) + 1);
        BandLength = (long)Step * _length * ((Step * (tileRows - 1)) + TTransform.TileSide);
        LineLength = 8L * blockTiles;
    }

    public int BlockTiles { get; }

    public int Blocks { get; }

    /// <summary>Floats of scratch for the band of one channel.</summary>
    public long BandLength { get; }

    /// <summary>Floats of scratch for the results of one channel, as vectors of tiles and as rows.</summary>
    public long LineLength { get; }

    // Pixels from one tile to the next.
    private static int Step => 2 * TTransform.Stride;

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
        int end = CountOf(block), rowLength = Step * _length, within = 0;
        for (var run = First(block); run.At < end; run = run.Next(_rows, _columns))
        {
            int count = Math.Min(end - run.At, ((_rows - run.Row) * _columns) - run.Column), at = run.At, column = run.Column;
            int tileRows = (column + count + _columns - 1) / _columns;
            float* plane = x + ((((long)run.Image * _g.C) + channel) * _g.H * _g.W);
            int first = (Step * run.Row) - _g.Padding.Height, rows = (Step * (tileRows - 1)) + TTransform.TileSide;
            Prefetch(plane + ((((long)ChannelsAhead * _g.H) + first) * _g.W), rows * _g.W);
            FillBand<V>(plane, first, rows, _g.H, _g.W, _g.Padding.Width, Step, band);
            float* from = band;
            for (int row = 0; row < tileRows; row++, column = 0, from += Step * rowLength)
            {
                int stop = Math.Min(_columns, column + run.At + count - at);
                while (column < stop)
                {
                    int step = Math.Min(Math.Min(V.Width, stop - column), panelTiles - within);
                    // Narrow images have few tiles in a row.
                    if (V.Width > Lane256.Width && step <= Lane256.Width)
                        TTransform.Source<Lane256>(from + column, _length, to + within, elementStride);
                    else
                        TTransform.Source<V>(from + column, _length, to + within, elementStride);
                    column += step;
                    at += step;
                    within += step;
                    if (within < panelTiles)
                        continue;
                    within = 0;
                    to += panelStride;
                }
            }
        }
    }

    /// <summary>D = A dY A' for the tiles of one channel of a gradient dy [N, O, OH, OW]: the transpose of what makes Y.</summary>
    /// <inheritdoc cref="TransformSource{V}"/>
    public void TransformGradient<V>(float* dy, int channel, int block, float* band, float* to, long elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        int end = CountOf(block);
        for (var run = First(block); run.At < end; run = run.Next(_rows, _columns))
        {
            int count = Math.Min(end - run.At, ((_rows - run.Row) * _columns) - run.Column), at = run.At, column = run.Column;
            int tileRows = (column + count + _columns - 1) / _columns;
            float* plane = dy + ((((long)run.Image * _g.O) + channel) * _g.OH * _g.OW);
            Prefetch(plane + ((((long)ChannelsAhead * _g.OH) + (2 * run.Row)) * _g.OW), 2 * tileRows * _g.OW);
            FillBand<V>(plane, 2 * run.Row, 2 * tileRows, _g.OH, _g.OW, 0, 2, band);
            float* from = band;
            for (int row = 0; row < tileRows; row++, column = 0, from += 4 * _length)
            {
                int stop = Math.Min(_columns, column + run.At + count - at);
                while (column < stop)
                {
                    int step = Math.Min(V.Width, stop - column);
                    if (V.Width > Lane256.Width && step <= Lane256.Width)
                        WinogradStride1.Gradients<Lane256>(from + column, _length, to + at, elementStride);
                    else
                        WinogradStride1.Gradients<V>(from + column, _length, to + at, elementStride);
                    column += step;
                    at += step;
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
        int end = CountOf(block);
        float* quarters = line + (4L * BlockTiles);
        for (int at = 0; at < end; at += V.Width)
            TTransform.Results<V>(m + (at / panelTiles * panelStride) + (at % panelTiles), elementStride, quarters + at, BlockTiles);
        // Now tiles follow each other as their results do in a row: those of whole rows of tiles are rows of one length.
        float* upper = line, lower = line + (2L * BlockTiles);
        Interleave(quarters, quarters + BlockTiles, BlockTiles, upper);
        Interleave(quarters + (2L * BlockTiles), quarters + (3L * BlockTiles), BlockTiles, lower);
        for (var run = First(block); run.At < end; run = run.Next(_rows, _columns))
        {
            int left = Math.Min(end - run.At, ((_rows - run.Row) * _columns) - run.Column);
            long plane = (((long)run.Image * _g.O) + channel) * _g.OH * _g.OW;
            for (int at = run.At, row = run.Row, column = run.Column; left > 0; column = 0)
            {
                int rows = column == 0 && left >= _columns ? left / _columns : 1, count = Math.Min(left, _columns - column);
                int width = Math.Min(2 * count, _g.OW - (2 * column)), lowerRows = Math.Min(rows, (_g.OH / 2) - row);
                long to = plane + (2L * row * _g.OW) + (2 * column);
                epilogue.Store<V>(upper + (2 * at), 2 * _columns, rows, width, channel, 0, y, to, 2 * _g.OW);
                epilogue.Store<V>(lower + (2 * at), 2 * _columns, lowerRows, width, channel, 0, y, to + _g.OW, 2 * _g.OW);
                row += rows;
                at += rows * count;
                left -= rows * count;
            }
        }
    }

    /// <summary>Asks for what <see cref="Collect{V}"/> will read and write of some channels.</summary>
    public void Prefetch(int block, int channel, int channels, in ConvEpilogue epilogue, float* y)
    {
        int end = CountOf(block);
        for (var run = First(block); run.At < end; run = run.Next(_rows, _columns))
        {
            int count = Math.Min(end - run.At, ((_rows - run.Row) * _columns) - run.Column);
            int rows = Math.Min(2 * ((run.Column + count + _columns - 1) / _columns), _g.OH - (2 * run.Row));
            long plane = (long)_g.OH * _g.OW, at = ((((long)run.Image * _g.O) + channel) * plane) + (2L * run.Row * _g.OW);
            epilogue.Prefetch(channels, rows * _g.OW, y, at, plane);
        }
    }

    private static void Prefetch(float* from, int count)
    {
        const int Line = Pool.Alignment / sizeof(float);
        for (int i = 0; i < count + Line - 1 && Sse.IsSupported; i += Line)
            Sse.Prefetch0(from + i);
    }

    /// <summary>The run that a block begins with.</summary>
    private TileRun First(int block)
    {
        long tile = (long)block * BlockTiles, row = tile / _columns;
        return new TileRun((int)(row / _rows), (int)(row % _rows), (int)(tile % _columns), 0);
    }

    /// <summary>Copies rows into the band: [rows, remainders, length].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillBand<V>(float* plane, int first, int rows, int height, int width, int padding, int remainders, float* band)
        where V : unmanaged, IFloatLane<V>
    {
        for (int row = first; row < first + rows; row++, band += remainders * _length)
        {
            float* from = plane + ((long)row * width);
            bool isInside = row >= 0 && row < height;
            if (isInside && V.Width == Vector512<float>.Count && Avx512F.IsSupported)
            {
                if (remainders == 2)
                    SplitInTwo(from - padding, padding, width, band);
                else
                    SplitInFour(from - padding, padding, width, band);
                continue;
            }

            for (int j = 0; j < remainders * _length; j += V.Width)
                V.Store(V.Of(0), band + j);
            if (isInside)
                Split(from, width, padding, remainders, band);
        }
    }

    private void SplitInTwo(float* row, int padding, int width, float* to)
    {
        for (int i = 0; i < _length; i += Vector512<float>.Count, to += Vector512<float>.Count)
        {
            Vector512<float> a = PaddedRow.Load(row, 2 * i, padding, width), b = PaddedRow.Load(row, (2 * i) + 16, padding, width);
            PaddedRow.Even(a, b).Store(to);
            PaddedRow.Odd(a, b).Store(to + _length);
        }
    }

    private void SplitInFour(float* row, int padding, int width, float* to)
    {
        for (int i = 0; i < _length; i += Vector512<float>.Count, to += Vector512<float>.Count)
        {
            Vector512<float> a = PaddedRow.Load(row, 4 * i, padding, width), b = PaddedRow.Load(row, (4 * i) + 16, padding, width);
            Vector512<float> c = PaddedRow.Load(row, (4 * i) + 32, padding, width), d = PaddedRow.Load(row, (4 * i) + 48, padding, width);
            Vector512<float> even0 = PaddedRow.Even(a, b), odd0 = PaddedRow.Odd(a, b), even1 = PaddedRow.Even(c, d), odd1 = PaddedRow.Odd(c, d);
            PaddedRow.Even(even0, even1).Store(to);
            PaddedRow.Even(odd0, odd1).Store(to + _length);
            PaddedRow.Odd(even0, even1).Store(to + (2 * _length));
            PaddedRow.Odd(odd0, odd1).Store(to + (3 * _length));
        }
    }

    /// <summary>Sorts the columns of a row behind its padding by their remainder.</summary>
    private void Split(float* row, int width, int padding, int remainders, float* to)
    {
        var targets = stackalloc float*[remainders];
        for (int k = 0; k < remainders; k++)
            targets[k] = to + ((padding + k) % remainders * _length) + ((padding + k) / remainders);
        int i = 0;
        if (remainders == 2 && Sse.IsSupported)
        {
            for (; i + 8 <= width; i += 8)
            {
                Vector128<float> a = Vector128.Load(row + i), b = Vector128.Load(row + i + 4);
                Sse.Shuffle(a, b, 0x88).Store(targets[0] + (i / 2));
                Sse.Shuffle(a, b, 0xDD).Store(targets[1] + (i / 2));
            }
        }

        for (int k = i % remainders; i < width; i++, k = k + 1 == remainders ? 0 : k + 1)
            targets[k][i / remainders] = row[i];
    }

    /// <summary>The reverse of a split in two for whole pairs; up to 3 more are written.</summary>
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

    /// <summary>A block's tiles in one image: where the first lies there, and which it is of the block.</summary>
    private readonly record struct TileRun(int Image, int Row, int Column, int At)
    {
        /// <summary>The run in the next image.</summary>
        public TileRun Next(int rows, int columns) => new(Image + 1, 0, 0, At + ((rows - Row) * columns) - Column);
    }
}
