using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// dw on the tensor cores: dy [O, pixels] times the windows of x [pixels, elements], both written down as lines of words along the
/// pixels, some images at a time. A tap's line is x shifted by less than a vector, which no vector copy can read in place.
/// </summary>
internal static class ConvTensorWeightGradient
{
    // Words of windows that are written down at a time: 256 MiB.
    private const long MostWords = 1 << 26;

    // Groups of threads that keep a large card busy, and the words below which a piece of the sums is not worth adding up.
    private const long EnoughGroups = 256;
    private const long LeastWords = 256;

    public static void Run<TNumber>(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate, int? tile)
        where TNumber : struct, IPackedNumber
    {
        int area = geometry.OH * geometry.OW, perChunk = 4 * TNumber.PerWord, words = (area + perChunk - 1) / perChunk * 4;
        int elements = geometry.C * geometry.KernelArea, each = (int)Math.Clamp(MostWords / ((long)elements * words), 1, geometry.N);
        for (int first = 0; first < geometry.N; first += each, accumulate = true)
        {
            int images = Math.Min(each, geometry.N - first);
            using var gradient = new ConvLines<TNumber>(dy, geometry.O, new()
            {
                Height = geometry.OH,
                Width = geometry.OW,
                OutWidth = geometry.OW,
                KernelArea = 1,
                KernelWidth = 1,
                Stride = new(1),
                Dilation = new(1),
                Area = area,
                Words = words,
                First = first,
                Images = images,
            });
            using var windows = new ConvLines<TNumber>(x, elements, new()
            {
                Height = geometry.H,
                Width = geometry.W,
                OutWidth = geometry.OW,
                KernelArea = geometry.KernelArea,
                KernelWidth = geometry.Kernel.Width,
                Stride = new(geometry.Stride),
                Padding = new(geometry.Padding),
                Dilation = new(geometry.Dilation),
                Area = area,
                Words = words,
                First = first,
                Images = images,
            });
            Multiply<TNumber>(geometry, gradient.Words, windows.Words, images * words, dw, accumulate, tile);
        }
    }

    private static void Multiply<TNumber>(
        Conv2dGeometry geometry, ArrayView<float> dy, ArrayView<float> x, int words, Tensor dw, bool accumulate, int? tile)
        where TNumber : struct, IPackedNumber
    {
        int rows = geometry.GroupO, columns = geometry.GroupC * geometry.KernelArea;
        Strides dyStrides = default, xStrides = default;
        dyStrides[0] = (long)rows * words;
        xStrides[0] = (long)columns * words;
        var args = new ProductArgs
        {
            A = new() { X = dy, Lines = rows, Line = words, Term = 1 },
            B = new() { X = x, Lines = columns, Line = words, Term = 1 },
            M = rows,
            N = columns,
            K = words,
            Batch = new Walk(new StridedLoop([geometry.Groups], dyStrides, xStrides)),
        };
        var device = (GpuDevice)dw.Device;
        if (Fits<WideTile, TNumber>(device, args, tile))
            Launch<WideTile, TNumber>(device, args, dw, accumulate);
        else if (Fits<SquareTile, TNumber>(device, args, tile))
            Launch<SquareTile, TNumber>(device, args, dw, accumulate);
        else
            Launch<NarrowTile, TNumber>(device, args, dw, accumulate);
    }

    private static bool Fits<TTile, TNumber>(GpuDevice device, ProductArgs args, int? tile)
        where TTile : struct, ITensorTile
        where TNumber : struct, IPackedNumber
    {
        int rows = TensorTile<TTile, TNumber>.Rows, columns = TensorTile<TTile, TNumber>.Columns;
        return TensorTile<TTile, TNumber>.SharedBytes <= device.MostShared
            && (tile == columns || (tile is null && args.M > rows / 2 && args.N > columns / 2));
    }

    private static void Launch<TTile, TNumber>(GpuDevice device, ProductArgs args, Tensor dw, bool accumulate)
        where TTile : struct, ITensorTile
        where TNumber : struct, IPackedNumber
    {
        const int Slice = TensorTile<TTile, TNumber>.Slice;
        long tiles = args.Batch.Count * ProductPlan.Tiles(args.M, args.N, TensorTile<TTile, TNumber>.Rows, TensorTile<TTile, TNumber>.Columns);
        long pieces = Math.Clamp(EnoughGroups / tiles, 1, Math.Max(1, args.K / LeastWords));
        args.PerPiece = (int)(((args.K + pieces - 1) / pieces) + Slice - 1) / Slice * Slice;
        args.Pieces = (args.K + args.PerPiece - 1) / args.PerPiece;
        using var sums = new PieceSums(device, dw, args.Pieces, accumulate);
        args.Y = args.Bias = sums.Pieces;
        args.IsVectorY = args.N % 4 == 0 && (sums.IsApart || dw.Offset % 4 == 0) ? 1 : 0;
        device.Launcher.Launch<TensorProduct<TTile, TNumber>, ProductArgs>(
            tiles * args.Pieces, TensorTile<TTile, TNumber>.Threads, args);
    }
}

/// <summary>Scratch memory with lines of words along the pixels: [line, image, word], a line for each channel and element of the windows.</summary>
internal readonly struct ConvLines<TNumber> : IDisposable
    where TNumber : struct, IPackedNumber
{
    private readonly Storage _scratch;

    public ConvLines(Tensor images, int lines, ConvColumnArgs args)
    {
        // A thread writes four vectors.
        const int Vectors = 4;
        var device = (GpuDevice)images.Device;
        long count = checked((int)((long)lines * args.Images * args.Words));
        _scratch = device.Pool.Rent(count * sizeof(uint), "conv2d windows");
        Words = args.Y = device.View<float>(_scratch, 0, count);
        args.X = GpuDevice.View<float>(images);
        args.Channels = images.Shape[1];
        args.Blocks = ((args.Images * args.Words / 4) + (Vectors * device.GroupSize) - 1) / (Vectors * device.GroupSize);
        device.Launcher.Launch<ConvColumns<TNumber>, ConvColumnArgs>((long)lines * args.Blocks, device.GroupSize, args);
    }

    public ArrayView<float> Words { get; }

    /// <summary>The kernels that are launched before this still find the words.</summary>
    public void Dispose() => _scratch.Release();
}

/// <summary>What <see cref="ConvColumns{TNumber}"/> takes.</summary>
internal struct ConvColumnArgs
{
    public ArrayView<float> X, Y;

    /// <summary>The images, of which <see cref="Images"/> are read from the first on.</summary>
    public int Channels, Height, Width, First, Images;

    /// <summary>The windows of an image, words that hold a line of them, and groups of threads for a line.</summary>
    public int Area, OutWidth, Words, Blocks;

    public int KernelArea, KernelWidth;
    public ConvPair Stride, Padding, Dilation;
}

/// <summary>Writes down an element of all windows: a line for some groups of threads, a vector of words at a time.</summary>
internal readonly struct ConvColumns<TNumber> : IKernel<ConvColumnArgs>
    where TNumber : struct, IPackedNumber
{
    public static void Run(ConvColumnArgs args)
    {
        int line = Grid.IdxX / args.Blocks, block = Grid.IdxX - (line * args.Blocks);
        int channel = line / args.KernelArea, tap = line - (channel * args.KernelArea);
        int a = tap / args.KernelWidth, b = tap - (a * args.KernelWidth);
        int perImage = args.Words / 4, count = args.Images * perImage;
        for (int i = (block * Group.DimX) + Group.IdxX; i < count; i += args.Blocks * Group.DimX)
        {
            int image = i / perImage;
            var reader = ConvReader.At(args, args.First + image, channel, a, b, (i - (image * perImage)) * 4 * TNumber.PerWord);
            Float4 words;
            words.X = Word(args, ref reader);
            words.Y = Word(args, ref reader);
            words.Z = Word(args, ref reader);
            words.W = Word(args, ref reader);
            args.Y.Cast<Float4>()[(line * count) + i] = words;
        }
    }

    private static float Word(ConvColumnArgs args, ref ConvReader reader)
    {
        float first = reader.Next(args);
        return Interop.IntAsFloat(TNumber.Pack(first, TNumber.PerWord == 2 ? reader.Next(args) : 0));
    }
}

/// <summary>Reads an element of one window after another.</summary>
internal struct ConvReader
{
    private int _plane, _pixel, _j, _row, _column;

    public static ConvReader At(ConvColumnArgs args, int image, int channel, int a, int b, int pixel)
    {
        int i = pixel / args.OutWidth;
        ConvReader reader;
        reader._plane = ((image * args.Channels) + channel) * args.Height * args.Width;
        reader._pixel = pixel;
        reader._j = pixel - (i * args.OutWidth);
        reader._row = (i * args.Stride.Down) - args.Padding.Down + (a * args.Dilation.Down);
        reader._column = (reader._j * args.Stride.Across) - args.Padding.Across + (b * args.Dilation.Across);
        return reader;
    }

    /// <summary>The next number: 0 outside of the image and after the last window.</summary>
    public float Next(ConvColumnArgs args)
    {
        bool isInside = (uint)_row < (uint)args.Height & (uint)_column < (uint)args.Width & _pixel < args.Area;
        float x = isInside ? args.X[_plane + (_row * args.Width) + _column] : 0;
        _pixel++;
        _j++;
        _column += args.Stride.Across;
        if (_j == args.OutWidth)
        {
            _j = 0;
            _column -= args.OutWidth * args.Stride.Across;
            _row += args.Stride.Down;
        }

        return x;
    }
}
