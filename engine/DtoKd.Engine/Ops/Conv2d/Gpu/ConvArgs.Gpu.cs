using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// What a convolution's product of weights and windows takes: <see cref="ConvProduct{TTile}"/>, whose source lies as tensors do, and
/// <see cref="ConvTensorProduct{TTile, TNumber}"/>, which reads packed words with the channels of a pixel side by side.
/// </summary>
internal struct ConvProductArgs
{
    public ArrayView<float> Source, Weights, Bias, Residual, Y;
    public int HasBias, HasResidual, Relu, Accumulate, IsVectorY;

    /// <summary>The groups of channels, and in one the channels of y (rows), and channels or words of the source (depth).</summary>
    public int Groups, Rows, Depth;

    /// <summary>The inner axis of the weights, and their rows; the images' targets of this phase.</summary>
    public int Lines, Pitch, Pixels;

    /// <summary>The images that are read; distances of their groups, pixels, and channels or words.</summary>
    public int SourceHeight, SourceWidth, SlabStride, PixelStride, ChannelStride;

    /// <summary>The images of y, and pixels of a channel.</summary>
    public int Width, Area;

    public ConvPhase Down, Across;
}

/// <summary>What a group of threads works on. Neighbours read the same pixels.</summary>
internal readonly struct ConvBlock
{
    public readonly int Group, Row, Pixel;

    public ConvBlock(ConvProductArgs args, int rows, int columns)
    {
        int down = (args.Rows + rows - 1) / rows, across = (args.Pixels + columns - 1) / columns;
        int pair = Grid.IdxX / down, group = pair / across;
        Group = Ptx.Keep(group);
        Row = Ptx.Keep((Grid.IdxX - (pair * down)) * rows);
        Pixel = Ptx.Keep((pair - (group * across)) * columns);
    }
}

/// <summary>How far a thread is on the inner axis: an element of the windows, and four of its channels or words.</summary>
internal struct ConvStep
{
    private int _channel, _a, _b, _row, _column, _offset;

    /// <summary>Goes on by channels, a multiple of four, and from the last one of an element to the next element.</summary>
    public void Advance(ConvProductArgs args, int channels)
    {
        _channel += channels;
        _offset += channels * args.ChannelStride;
        if (_channel < args.Depth)
            return;
        int depth = (args.Depth + 3) / 4 * 4;
        while (_channel >= depth)
        {
            _channel -= depth;
            _b++;
            if (_b == args.Across.Taps)
            {
                _b = 0;
                _a++;
            }
        }

        _row = _a * args.Down.SourceTap;
        _column = _b * args.Across.SourceTap;
        _offset = (((_row * args.SourceWidth) + _column) * args.PixelStride) + (_channel * args.ChannelStride);
    }

    /// <summary>Begins to copy a pixel's channels to neighbouring lines of shared memory; zeros where there are none.</summary>
    /// <param name="args">The convolution.</param>
    /// <param name="place">The pixel's place.</param>
    /// <param name="to">The first channel's place in shared memory.</param>
    /// <param name="pitch">Floats from there to the next.</param>
    public readonly void CopyQuad(ConvProductArgs args, ConvPlace place, ref float to, int pitch)
    {
        int channels = IsInside(args, place) ? args.Depth - _channel : 0, at = place.Source + _offset;
        ConvCopy.Of(args.Source, at, channels > 0, ref to, 0);
        ConvCopy.Of(args.Source, at + args.ChannelStride, channels - 1 > 0, ref to, pitch);
        ConvCopy.Of(args.Source, at + (2 * args.ChannelStride), channels - 2 > 0, ref to, 2 * pitch);
        ConvCopy.Of(args.Source, at + (3 * args.ChannelStride), channels - 3 > 0, ref to, 3 * pitch);
    }

    /// <summary>Begins to copy four words of a pixel; zeros where there are none.</summary>
    public readonly void CopyWords(ConvProductArgs args, ConvPlace place, ref float to, int bytes)
    {
        bool isInside = IsInside(args, place);
        int at = isInside ? place.Source + _offset : 0;
        Ptx.CopyAsync4(ref to, bytes, ref args.Source[at], 4 * sizeof(float), isInside ? 4 * sizeof(float) : 0);
    }

    private readonly bool IsInside(ConvProductArgs args, ConvPlace place)
    {
        uint row = (uint)(place.Row + _row), column = (uint)(place.Column + _column);
        return row < (uint)args.SourceHeight & column < (uint)args.SourceWidth & _a < args.Down.Taps;
    }
}

/// <summary>Copies of single numbers.</summary>
internal static class ConvCopy
{
    /// <summary>Begins to copy a number to a place behind another one in shared memory; a zero if it is not inside.</summary>
    public static void Of(ArrayView<float> from, int at, bool isInside, ref float to, int skip) =>
        Ptx.CopyAsync(ref to, skip * sizeof(float), ref from[isInside ? at : 0], sizeof(float), isInside ? sizeof(float) : 0);
}

/// <summary>Stores the sums of a tile of y.</summary>
internal readonly struct ConvTarget(ConvProductArgs args, ArrayView<ConvPlace> places, ConvBlock block) : IConvTarget, ITensorTarget
{
    private readonly ConvProductArgs _args = args;
    private readonly ArrayView<ConvPlace> _places = places;
    private readonly int _group = block.Group, _first = block.Row;

    public void Store(int row, int column, float sum)
    {
        int at = _places[column].Target;
        row += _first;
        if (at < 0 || row >= _args.Rows)
            return;
        at += row * _args.Area;
        if (_args.HasBias != 0)
            sum += _args.Bias[(_group * _args.Rows) + row];
        if (_args.HasResidual != 0)
            sum += _args.Residual[at];
        if (_args.Relu != 0)
            sum = Ptx.Max(sum, 0);
        if (_args.Accumulate != 0)
            sum += _args.Y[at];
        _args.Y[at] = sum;
    }

    public void Store(int row, int column, Float4 sums)
    {
        if (_args.IsVectorY == 0)
        {
            Store(row, column, sums.X);
            Store(row, column + 1, sums.Y);
            Store(row, column + 2, sums.Z);
            Store(row, column + 3, sums.W);
            return;
        }

        int at = _places[column].Target;
        row += _first;
        if (at < 0 || row >= _args.Rows)
            return;
        at = (at + (row * _args.Area)) / 4;
        if (_args.HasBias != 0)
            sums += new Float4(_args.Bias[(_group * _args.Rows) + row]);
        if (_args.HasResidual != 0)
            sums += _args.Residual.Cast<Float4>()[at];
        if (_args.Relu != 0)
            sums = new Float4(Ptx.Max(sums.X, 0), Ptx.Max(sums.Y, 0), Ptx.Max(sums.Z, 0), Ptx.Max(sums.W, 0));
        if (_args.Accumulate != 0)
            sums += _args.Y.Cast<Float4>()[at];
        _args.Y.Cast<Float4>()[at] = sums;
    }
}

/// <summary>A <see cref="Pair"/> for kernels.</summary>
internal readonly struct ConvPair(Pair pair)
{
    public readonly int Down = pair.Height, Across = pair.Width;
}
