using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// dw as a product of dy, channels by pixels, and the windows of x, pixels by window elements. The pixels are cut into pieces so
/// that even a few weights keep the device busy; the pieces' sums are added up in their order.
/// </summary>
internal static class ConvWeightGradientGpu
{
    // Groups of threads that keep the largest devices busy, and the pixels below which a piece is not worth its sum.
    private const long EnoughTiles = 512;
    private const int LeastPiece = 256;

    public static void Run(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate, int? tile)
    {
        var args = new ConvWeightGradientArgs
        {
            X = GpuDevice.View<float>(x),
            Dy = GpuDevice.View<float>(dy),
            Groups = geometry.Groups,
            Rows = geometry.GroupO,
            Columns = geometry.GroupC * geometry.KernelArea,
            Channels = geometry.GroupC,
            Pixels = checked(geometry.N * geometry.OH * geometry.OW),
            Height = geometry.H,
            Width = geometry.W,
            OutHeight = geometry.OH,
            OutWidth = geometry.OW,
            OutArea = geometry.OH * geometry.OW,
            KernelArea = geometry.KernelArea,
            KernelWidth = geometry.Kernel.Width,
            StrideH = geometry.Stride.Height,
            StrideW = geometry.Stride.Width,
            PaddingH = geometry.Padding.Height,
            PaddingW = geometry.Padding.Width,
            DilationH = geometry.Dilation.Height,
            DilationW = geometry.Dilation.Width,
        };
        switch (tile ?? args.Rows)
        {
            case > 64:
                Launch<Rows128>(args, dw, accumulate);
                break;
            case > 32:
                Launch<Rows64>(args, dw, accumulate);
                break;
            case > 16:
                Launch<Rows32>(args, dw, accumulate);
                break;
            default:
                Launch<Rows16>(args, dw, accumulate);
                break;
        }
    }

    private static void Launch<TTile>(ConvWeightGradientArgs args, Tensor dw, bool accumulate)
        where TTile : struct, IConvTile
    {
        var device = (GpuDevice)dw.Device;
        long tiles = (long)args.Groups * args.TilesDown(ConvTile<TTile>.Rows) * args.TilesAcross(ConvTile<TTile>.Columns);
        long pieces = Math.Clamp(EnoughTiles / tiles, 1, (args.Pixels + LeastPiece - 1) / LeastPiece);
        args.Piece = (int)((args.Pixels + pieces - 1) / pieces);
        args.Piece = (args.Piece + ConvTile<TTile>.Slice - 1) / ConvTile<TTile>.Slice * ConvTile<TTile>.Slice;
        pieces = (args.Pixels + args.Piece - 1) / args.Piece;
        using var sums = new PieceSums(device, dw, pieces, accumulate);
        args.Dw = sums.Pieces;
        device.Launcher.Launch<ConvWeightGradient<TTile>, ConvWeightGradientArgs>(tiles * pieces, ConvTile<TTile>.Threads, args);
    }
}

/// <summary>What <see cref="ConvWeightGradient{TTile}"/> takes.</summary>
internal struct ConvWeightGradientArgs
{
    public ArrayView<float> X, Dy, Dw;

    /// <summary>The groups of channels, and in one the output channels (rows) and window elements (columns).</summary>
    public int Groups, Rows, Columns;

    /// <summary>The images' pixels, and those of a piece: whole slices.</summary>
    public int Pixels, Piece;

    /// <summary>The group's input channels, the images, and pixels of a channel of dy.</summary>
    public int Channels, Height, Width, OutHeight, OutWidth, OutArea;

    public int KernelArea, KernelWidth;
    public int StrideH, StrideW, PaddingH, PaddingW, DilationH, DilationW;

    /// <summary>Tiles of so many rows that cover the output channels.</summary>
    public readonly int TilesDown(int rows) => (Rows + rows - 1) / rows;

    /// <summary>Tiles of so many columns that cover the window elements.</summary>
    public readonly int TilesAcross(int columns) => (Columns + columns - 1) / columns;
}

/// <summary>The pixel whose terms a thread copies: it goes on by one slice after the other.</summary>
internal struct ConvPixel
{
    private int _pixel, _image, _i, _j, _dy, _x, _row, _column;

    public static ConvPixel At(ConvWeightGradientArgs args, int group, int pixel)
    {
        int line = pixel / args.OutWidth;
        var place = default(ConvPixel);
        place._pixel = pixel;
        place._j = pixel - (line * args.OutWidth);
        place._image = line / args.OutHeight;
        place._i = line - (place._image * args.OutHeight);
        place.Find(args, group);
        return place;
    }

    public void Advance(ConvWeightGradientArgs args, int group, int pixels)
    {
        _pixel += pixels;
        _j += pixels;
        while (_j >= args.OutWidth)
        {
            _j -= args.OutWidth;
            _i++;
            if (_i == args.OutHeight)
            {
                _i = 0;
                _image++;
            }
        }

        Find(args, group);
    }

    /// <summary>Begins to copy dy of a channel.</summary>
    public readonly void CopyDy(ConvWeightGradientArgs args, ref float to, int skip, int row, int end) =>
        ConvCopy.Of(args.Dy, _dy + (row * args.OutArea), _pixel < end & row < args.Rows, ref to, skip);

    /// <summary>Begins to copy an element of the pixel's window.</summary>
    public readonly void CopyX(ConvWeightGradientArgs args, ref float to, int skip, ConvPlace element, int end)
    {
        uint row = (uint)(_row + element.Row), column = (uint)(_column + element.Column);
        bool isInside = _pixel < end & row < (uint)args.Height & column < (uint)args.Width;
        ConvCopy.Of(args.X, _x + element.Source, isInside, ref to, skip);
    }

    private void Find(ConvWeightGradientArgs args, int group)
    {
        int slab = (_image * args.Groups) + group;
        _row = (_i * args.StrideH) - args.PaddingH;
        _column = (_j * args.StrideW) - args.PaddingW;
        _dy = (((slab * args.Rows * args.OutHeight) + _i) * args.OutWidth) + _j;
        _x = (((slab * args.Channels * args.Height) + _row) * args.Width) + _column;
    }
}

/// <summary>
/// A tile of output channels by window elements over one piece of the pixels. Eight neighbouring threads copy eight neighbouring
/// pixels of a channel of dy, or of an element of their windows.
/// </summary>
internal readonly struct ConvWeightGradient<TTile> : IKernel<ConvWeightGradientArgs>
    where TTile : struct, IConvTile
{
    public static int MaxGroupSize => ConvTile<TTile>.Threads;

    // Channels or elements that are copied at once.
    private static int Step => ConvTile<TTile>.Threads / ConvTile<TTile>.Slice;

    public static void Run(ConvWeightGradientArgs args)
    {
        var vectors = SharedMemory.Allocate<Float4>(ConvTile<TTile>.Stages * ConvTile<TTile>.Stage / 4);
        var elements = SharedMemory.Allocate<ConvPlace>(ConvTile<TTile>.Columns);
        var shared = vectors.Cast<float>();
        int tilesAcross = args.TilesAcross(ConvTile<TTile>.Columns), tilesDown = args.TilesDown(ConvTile<TTile>.Rows);
        int rest = Grid.IdxX / tilesAcross, column = (Grid.IdxX - (rest * tilesAcross)) * ConvTile<TTile>.Columns;
        int pair = rest / tilesDown, row = (rest - (pair * tilesDown)) * ConvTile<TTile>.Rows;
        pair = Ptx.Keep(pair);
        row = Ptx.Keep(row);
        int piece = pair / args.Groups, group = Ptx.Keep(pair - (piece * args.Groups));
        for (int i = Group.IdxX; i < ConvTile<TTile>.Columns; i += ConvTile<TTile>.Threads)
            elements[i] = ConvPlace.Of(args, column + i);
        Group.Barrier();

        int first = piece * args.Piece, end = Ptx.Keep(IntrinsicMath.Min(first + args.Piece, args.Pixels)), write = 0;
        var pixel = ConvPixel.At(args, group, first + (Group.IdxX & (ConvTile<TTile>.Slice - 1)));
        for (int ahead = 0; ahead < ConvTile<TTile>.Stages - 1; ahead++, write += ConvTile<TTile>.Stage)
            Copy(args, shared, elements, write, row, group, end, ref pixel);

        int left = Ptx.Keep(ConvTile<TTile>.FirstLeft), right = Ptx.Keep(ConvTile<TTile>.FirstRight), read = 0;
        ConvSums sums = default;
        for (int p = first; p < end; p += ConvTile<TTile>.Slice)
        {
            Ptx.AwaitCopies(ConvTile<TTile>.Stages - 2);
            Group.Barrier();
            Copy(args, shared, elements, write, row, group, end, ref pixel);
            ConvTile<TTile>.MultiplyAdd(ref shared[left + read], ref shared[right + read], ref sums);
            write = read;
            read = read == (ConvTile<TTile>.Stages - 1) * ConvTile<TTile>.Stage ? 0 : read + ConvTile<TTile>.Stage;
        }

        ConvTile<TTile>.Store(vectors, sums, new Target(args, elements, pair, row));
    }

    /// <summary>Begins to copy a slice.</summary>
    private static void Copy(
        ConvWeightGradientArgs args, ArrayView<float> shared, ArrayView<ConvPlace> elements, int stage, int row, int group, int end, ref ConvPixel pixel)
    {
        int term = Group.IdxX & (ConvTile<TTile>.Slice - 1), line = Group.IdxX / ConvTile<TTile>.Slice;
        int to = stage + (term * ConvTile<TTile>.PitchLeft) + line;
        for (int i = 0; i < ConvTile<TTile>.Rows; i += 2 * Step)
        {
            ref float first = ref shared[to + i];
            pixel.CopyDy(args, ref first, 0, row + line + i, end);
            pixel.CopyDy(args, ref first, Step, row + line + i + Step, end);
        }

        to = stage + ConvTile<TTile>.Right + (term * ConvTile<TTile>.PitchRight) + line;
        for (int i = 0; i < ConvTile<TTile>.Columns; i += 4 * Step)
        {
            ref float first = ref shared[to + i];
            pixel.CopyX(args, ref first, 0, elements[line + i], end);
            pixel.CopyX(args, ref first, Step, elements[line + i + Step], end);
            pixel.CopyX(args, ref first, 2 * Step, elements[line + i + (2 * Step)], end);
            pixel.CopyX(args, ref first, 3 * Step, elements[line + i + (3 * Step)], end);
        }

        pixel.Advance(args, group, ConvTile<TTile>.Slice);
        Ptx.CommitCopies();
    }

    /// <summary>Stores a piece's sums for a tile of dw.</summary>
    internal readonly struct Target(ConvWeightGradientArgs args, ArrayView<ConvPlace> elements, int slab, int first) : IConvTarget
    {
        private readonly ConvWeightGradientArgs _args = args;
        private readonly ArrayView<ConvPlace> _elements = elements;
        private readonly int _slab = slab, _first = first;

        public void Store(int row, int column, float sum)
        {
            int at = _elements[column].Target;
            row += _first;
            if (at >= 0 && row < _args.Rows)
                _args.Dw[(((_slab * _args.Rows) + row) * _args.Columns) + at] = sum;
        }
    }
}
