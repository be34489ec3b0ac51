using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>What <see cref="ConvProduct{TTile}"/> takes.</summary>
internal struct ConvProductArgs
{
    public ArrayView<float> Source, Weights, Bias, Residual, Y;
    public int HasBias, HasResidual, Relu, Accumulate;

    /// <summary>The groups of channels, and in one the channels of y (rows) and of the source (depth).</summary>
    public int Groups, Rows, Depth;

    /// <summary>The inner axis to whole slices, and rows to fours; the images' targets of this phase.</summary>
    public int Lines, Pitch, Pixels;

    /// <summary>The images that are read, and y's; an area is the pixels of a channel.</summary>
    public int SourceHeight, SourceWidth, SourceArea, Width, Area;

    public ConvPhase Down, Across;

    /// <summary>Tiles of so many rows that cover y's.</summary>
    public readonly int TilesOf(int rows) => (Rows + rows - 1) / rows;
}

/// <summary>Four channels of one element of the windows: what a step along the inner axis reads.</summary>
internal struct ConvQuad
{
    private int _channel, _a, _b, _row, _column, _offset;

    /// <summary>Goes on by channels, a multiple of four, and from the last one of an element to the next element.</summary>
    public void Advance(ConvProductArgs args, int channels)
    {
        _channel += channels;
        _offset += channels * args.SourceArea;
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
        _offset = (((_channel * args.SourceHeight) + _row) * args.SourceWidth) + _column;
    }

    /// <summary>Begins to copy a pixel's channels to neighbouring lines of shared memory; zeros where there are none.</summary>
    /// <param name="args">The convolution.</param>
    /// <param name="place">The pixel's place.</param>
    /// <param name="to">The first channel's place in shared memory.</param>
    /// <param name="pitch">Floats from there to the next.</param>
    public readonly void Copy(ConvProductArgs args, ConvPlace place, ref float to, int pitch)
    {
        int channels = _a < args.Down.Taps ? args.Depth - _channel : 0, area = args.SourceArea;
        uint row = (uint)(place.Row + _row), column = (uint)(place.Column + _column);
        bool isInside = row < (uint)args.SourceHeight & column < (uint)args.SourceWidth;
        channels = isInside ? channels : 0;
        int at = place.Source + _offset;
        Copy(args, ref to, 0, at, channels);
        Copy(args, ref to, pitch, at + area, channels - 1);
        Copy(args, ref to, 2 * pitch, at + (2 * area), channels - 2);
        Copy(args, ref to, 3 * pitch, at + (3 * area), channels - 3);
    }

    private static void Copy(ConvProductArgs args, ref float to, int skip, int at, int channels)
    {
        bool isInside = channels > 0;
        Ptx.CopyAsync(ref to, skip * sizeof(float), ref args.Source[isInside ? at : 0], sizeof(float), isInside ? sizeof(float) : 0);
    }
}

/// <summary>A thread's part in copying slices of the weights: four neighbouring rows of one line, for the first of the threads.</summary>
internal struct ConvLines
{
    private int _from, _to, _bytes;

    public static ConvLines Of<TTile>(ConvProductArgs args, int group, int first)
        where TTile : struct, IConvTile
    {
        int quads = ConvTile<TTile>.Rows / 4, line = Group.IdxX / quads, row = (Group.IdxX & (quads - 1)) * 4;
        ConvLines lines;
        lines._bytes = Ptx.Keep(first + row < args.Pitch ? 4 * sizeof(float) : 0);
        lines._from = Ptx.Keep((((group * args.Lines) + line) * args.Pitch) + (lines._bytes == 0 ? 0 : first + row));
        lines._to = Ptx.Keep(line < ConvTile<TTile>.Slice ? (line * ConvTile<TTile>.PitchLeft) + row : -1);
        return lines;
    }

    /// <summary>Begins to copy the thread's part, and goes on to the next slice.</summary>
    public void Copy(ConvProductArgs args, ArrayView<float> shared, int stage)
    {
        if (_to >= 0)
            Ptx.CopyAsync4(ref shared[stage + _to], 0, ref args.Weights[_from], 4 * sizeof(float), _bytes);
        _from += ConvWeights.Slice * args.Pitch;
    }
}

/// <summary>
/// y = weights times the windows of the source, channels by pixels: a convolution, or one phase of its input's gradient. Each sum
/// runs in the order of the inner axis, so the tile makes no difference to a result. Groups of threads that are neighbours read
/// the same pixels.
/// </summary>
internal readonly struct ConvProduct<TTile> : IKernel<ConvProductArgs>
    where TTile : struct, IConvTile
{
    public static int MaxGroupSize => ConvTile<TTile>.Threads;

    private static int Columns => ConvTile<TTile>.Columns;

    // With two threads for each pixel of a tile, each copies one of a slice's two quads; otherwise both.
    private static bool IsShared => ConvTile<TTile>.Threads >= 2 * Columns;

    public static void Run(ConvProductArgs args)
    {
        var vectors = SharedMemory.Allocate<Float4>(ConvTile<TTile>.Stages * ConvTile<TTile>.Stage / 4);
        var places = SharedMemory.Allocate<ConvPlace>(Columns);
        var shared = vectors.Cast<float>();
        int tiles = args.TilesOf(ConvTile<TTile>.Rows), pair = Grid.IdxX / tiles, first = (Grid.IdxX - (pair * tiles)) * ConvTile<TTile>.Rows;
        int pixelTiles = (args.Pixels + Columns - 1) / Columns;
        int group = Ptx.Keep(pair / pixelTiles), pixel = (pair - (group * pixelTiles)) * Columns;
        first = Ptx.Keep(first);
        for (int i = Group.IdxX; i < Columns; i += ConvTile<TTile>.Threads)
            places[i] = ConvPlace.Of(args, group, pixel + i);
        Group.Barrier();

        var weights = ConvLines.Of<TTile>(args, group, first);
        var quad = default(ConvQuad);
        quad.Advance(args, IsShared ? Group.IdxX / Columns * 4 : 0);
        int write = 0;
        for (int ahead = 0; ahead < ConvTile<TTile>.Stages - 1; ahead++, write += ConvTile<TTile>.Stage)
            Copy(args, shared, places, write, ahead * ConvTile<TTile>.Slice, ref weights, ref quad);

        int left = Ptx.Keep(ConvTile<TTile>.FirstLeft), right = Ptx.Keep(ConvTile<TTile>.FirstRight), read = 0;
        ConvSums sums = default;
        for (int k = 0; k < args.Lines; k += ConvTile<TTile>.Slice)
        {
            Ptx.AwaitCopies(ConvTile<TTile>.Stages - 2);
            Group.Barrier();
            Copy(args, shared, places, write, k + ((ConvTile<TTile>.Stages - 1) * ConvTile<TTile>.Slice), ref weights, ref quad);
            ConvTile<TTile>.MultiplyAdd(ref shared[left + read], ref shared[right + read], ref sums);
            write = read;
            read = read == (ConvTile<TTile>.Stages - 1) * ConvTile<TTile>.Stage ? 0 : read + ConvTile<TTile>.Stage;
        }

        ConvTile<TTile>.Store(vectors, sums, new Target(args, places, group, first));
    }

    /// <summary>Begins to copy a slice.</summary>
    private static void Copy(
        ConvProductArgs args, ArrayView<float> shared, ArrayView<ConvPlace> places, int stage, int line, ref ConvLines weights, ref ConvQuad quad)
    {
        if (line < args.Lines)
        {
            weights.Copy(args, shared, stage);
            stage += ConvTile<TTile>.Right;
            if (IsShared)
            {
                int pixel = Group.IdxX & (Columns - 1), half = Group.IdxX / Columns;
                quad.Copy(args, places[pixel], ref shared[stage + (4 * half * ConvTile<TTile>.PitchRight) + pixel], ConvTile<TTile>.PitchRight);
                quad.Advance(args, 8);
            }
            else
            {
                for (int half = 0; half < 2; half++, stage += 4 * ConvTile<TTile>.PitchRight)
                {
                    for (int pixel = Group.IdxX; pixel < Columns; pixel += ConvTile<TTile>.Threads)
                        quad.Copy(args, places[pixel], ref shared[stage + pixel], ConvTile<TTile>.PitchRight);
                    quad.Advance(args, 4);
                }
            }
        }

        Ptx.CommitCopies();
    }

    /// <summary>Stores the sums of a tile of y.</summary>
    internal readonly struct Target(ConvProductArgs args, ArrayView<ConvPlace> places, int group, int first) : IConvTarget
    {
        private readonly ConvProductArgs _args = args;
        private readonly ArrayView<ConvPlace> _places = places;
        private readonly int _group = group, _first = first;

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
    }
}
