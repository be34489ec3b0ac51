using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// dw as a product of dy, channels by pixels, and the windows of x, pixels by window elements. The pixels are cut into pieces so
/// that even a few weights keep the device busy; the pieces' sums are added up in their order.
/// </summary>
internal static class ConvWeightGradientGpu
{
    // Groups of threads that keep the largest devices busy, and the pixels below which a piece is not worth its sum.
    private const long EnoughTiles = 1024;
    private const int LeastPiece = 256;

    public static void Run(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate)
    {
        var device = (GpuDevice)dw.Device;
        int columns = geometry.GroupC * geometry.KernelArea, area = geometry.OH * geometry.OW, pixels = checked(geometry.N * area);
        int tilesO = (geometry.GroupO + ConvTile.Size - 1) / ConvTile.Size, tilesC = (columns + ConvTile.Size - 1) / ConvTile.Size;
        long tiles = (long)tilesO * tilesC * geometry.Groups;
        long pieces = Math.Clamp(EnoughTiles / tiles, 1, (pixels + LeastPiece - 1) / LeastPiece);
        int piece = (int)((pixels + pieces - 1) / pieces);
        piece = (piece + ConvTile.Slice - 1) / ConvTile.Slice * ConvTile.Slice;
        pieces = (pixels + piece - 1) / piece;
        using var sums = new PieceSums(device, dw, pieces, accumulate);
        device.Launcher.Launch<ConvWeightGradient, ConvWeightGradient.Args>(tiles * pieces, ConvTile.Threads, new()
        {
            X = GpuDevice.View<float>(x),
            Dy = GpuDevice.View<float>(dy),
            Dw = sums.Pieces,
            Groups = geometry.Groups,
            Rows = geometry.GroupO,
            Columns = columns,
            TilesO = tilesO,
            TilesC = tilesC,
            Pixels = pixels,
            Piece = piece,
            Height = geometry.H,
            Width = geometry.W,
            OutHeight = geometry.OH,
            OutWidth = geometry.OW,
            KernelArea = geometry.KernelArea,
            KernelWidth = geometry.Kernel.Width,
            StrideH = geometry.Stride.Height,
            StrideW = geometry.Stride.Width,
            PaddingH = geometry.Padding.Height,
            PaddingW = geometry.Padding.Width,
            DilationH = geometry.Dilation.Height,
            DilationW = geometry.Dilation.Width,
        });
    }
}

/// <summary>Scratch memory in which each piece of a long sum leaves its part of a result, and which is then added up.</summary>
internal readonly struct PieceSums(GpuDevice device, Tensor y, long pieces, bool accumulate) : IDisposable
{
    private readonly Storage? _scratch = IsDirect(pieces, accumulate) ? null : new(device.Pool, pieces * y.Count * sizeof(float), "partial sums");

    /// <summary>Where the pieces go, one after the other: the result itself if there is one piece and nothing to add to.</summary>
    public ArrayView<float> Pieces => _scratch is null ? GpuDevice.View<float>(y) : device.View<float>(_scratch, 0, pieces * y.Count);

    /// <summary>Adds up.</summary>
    public void Dispose()
    {
        if (_scratch is null)
            return;
        GridStride.Launch<SumPieces, SumPieces.Args>(device, y.Count, new()
        {
            X = Pieces,
            Y = GpuDevice.View<float>(y),
            Count = checked((int)y.Count),
            Pieces = checked((int)pieces),
            Accumulate = accumulate ? 1 : 0,
        });
        _scratch.Release();
    }

    private static bool IsDirect(long pieces, bool accumulate) => pieces == 1 && !accumulate;
}

/// <summary>y = the sum of the pieces, in their order.</summary>
internal readonly struct SumPieces : IKernel<SumPieces.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            float sum = args.Accumulate != 0 ? args.Y[i] : 0;
            int at = i;
            for (int piece = 0; piece < args.Pieces; piece++, at += args.Count)
                sum += args.X[at];
            args.Y[i] = sum;
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Y;
        public int Count, Pieces, Accumulate;
    }
}

/// <summary>
/// A tile of output channels by window elements over one piece of the pixels. 16 neighbouring threads read 16 neighbouring pixels
/// of a channel of dy, or of an element of their windows.
/// </summary>
internal readonly struct ConvWeightGradient : IKernel<ConvWeightGradient.Args>
{
    // Lines of four floats more than a tile: the 16 pixels of a channel go to different banks, two by two.
    private const int Pitch = (ConvTile.Size / 4) + 1;

    // Channels or elements that are read at once.
    private const int Rows = ConvTile.Threads / ConvTile.Slice;

    // So far up that it is outside of any image, even twice.
    private const int Outside = int.MinValue / 2;

    public static int MaxGroupSize => ConvTile.Threads;

    public static void Run(Args args)
    {
        var left = SharedMemory.Allocate<Float4>(ConvTile.Slice * Pitch);
        var right = SharedMemory.Allocate<Float4>(ConvTile.Slice * Pitch);
        var elements = SharedMemory.Allocate<Element>(ConvTile.Size);
        int block = Grid.IdxX, rest = block / args.TilesC, column = (block - (rest * args.TilesC)) * ConvTile.Size;
        int pair = rest / args.TilesO, row = (rest - (pair * args.TilesO)) * ConvTile.Size;
        int piece = pair / args.Groups, group = pair - (piece * args.Groups);

        int thread = Group.IdxX, lane = thread % ConvTile.Slice, line = thread / ConvTile.Slice;
        if (thread < ConvTile.Size)
            elements[thread] = ElementAt(args, column + thread);
        Group.Barrier();

        int first = piece * args.Piece, end = IntrinsicMath.Min(first + args.Piece, args.Pixels);
        int to = (lane * Pitch * 4) + line;
        var tile = default(ConvTile);
        ReadDy(args, group, row + line, first + lane, end, out var dy);
        ReadX(args, elements, group, line, first + lane, end, out var x);
        for (int p = first; p < end; p += ConvTile.Slice)
        {
            Store(left.Cast<float>(), to, dy);
            Store(right.Cast<float>(), to, x);
            Group.Barrier();
            if (p + ConvTile.Slice < end)
            {
                ReadDy(args, group, row + line, p + ConvTile.Slice + lane, end, out dy);
                ReadX(args, elements, group, line, p + ConvTile.Slice + lane, end, out x);
            }

            tile.Add(left, right, Pitch);
            Group.Barrier();
        }

        row += ConvTile.Row;
        column += ConvTile.Column;
        int at = (((((piece * args.Groups) + group) * args.Rows) + row) * args.Columns) + column;
        int rows = args.Rows - row;
        StoreColumn(args, at, rows, args.Columns - column, tile.Column0);
        StoreColumn(args, at + 1, rows, args.Columns - column - 1, tile.Column1);
        StoreColumn(args, at + 2, rows, args.Columns - column - 2, tile.Column2);
        StoreColumn(args, at + 3, rows, args.Columns - column - 3, tile.Column3);
    }

    /// <summary>What one window element adds to a window's first place.</summary>
    private static Element ElementAt(Args args, int column)
    {
        int channel = column / args.KernelArea, tap = column - (channel * args.KernelArea);
        int a = tap / args.KernelWidth, b = tap - (a * args.KernelWidth);
        Element element;
        element.Row = column < args.Columns ? a * args.DilationH : Outside;
        element.Column = b * args.DilationW;
        element.Offset = (((channel * args.Height) + (a * args.DilationH)) * args.Width) + element.Column;
        return element;
    }

    private static void ReadDy(Args args, int group, int row, int pixel, int end, out Column8 dy)
    {
        int area = args.OutHeight * args.OutWidth, image = pixel / area;
        int at = (((((image * args.Groups) + group) * args.Rows) + row) * area) + pixel - (image * area);
        int rows = pixel < end ? args.Rows - row : 0;
        dy.Y0 = rows > 0 ? args.Dy[at] : 0;
        dy.Y1 = rows > Rows ? args.Dy[at + (Rows * area)] : 0;
        dy.Y2 = rows > 2 * Rows ? args.Dy[at + (2 * Rows * area)] : 0;
        dy.Y3 = rows > 3 * Rows ? args.Dy[at + (3 * Rows * area)] : 0;
        dy.Y4 = rows > 4 * Rows ? args.Dy[at + (4 * Rows * area)] : 0;
        dy.Y5 = rows > 5 * Rows ? args.Dy[at + (5 * Rows * area)] : 0;
        dy.Y6 = rows > 6 * Rows ? args.Dy[at + (6 * Rows * area)] : 0;
        dy.Y7 = rows > 7 * Rows ? args.Dy[at + (7 * Rows * area)] : 0;
    }

    private static void ReadX(Args args, ArrayView<Element> elements, int group, int line, int pixel, int end, out Column8 x)
    {
        int rest = pixel / args.OutWidth, image = rest / args.OutHeight;
        int row = ((rest - (image * args.OutHeight)) * args.StrideH) - args.PaddingH;
        int column = ((pixel - (rest * args.OutWidth)) * args.StrideW) - args.PaddingW;
        int channels = args.Columns / args.KernelArea;
        int at = (((((image * args.Groups) + group) * channels * args.Height) + row) * args.Width) + column;
        row = pixel < end ? row : Outside;
        x.Y0 = Read(args, elements[line], at, row, column);
        x.Y1 = Read(args, elements[line + Rows], at, row, column);
        x.Y2 = Read(args, elements[line + (2 * Rows)], at, row, column);
        x.Y3 = Read(args, elements[line + (3 * Rows)], at, row, column);
        x.Y4 = Read(args, elements[line + (4 * Rows)], at, row, column);
        x.Y5 = Read(args, elements[line + (5 * Rows)], at, row, column);
        x.Y6 = Read(args, elements[line + (6 * Rows)], at, row, column);
        x.Y7 = Read(args, elements[line + (7 * Rows)], at, row, column);
    }

    private static float Read(Args args, Element element, int at, int row, int column)
    {
        row += element.Row;
        column += element.Column;
        bool isInside = row >= 0 && row < args.Height && column >= 0 && column < args.Width;
        return isInside ? args.X[at + element.Offset] : 0;
    }

    private static void Store(ArrayView<float> slice, int at, Column8 values)
    {
        slice[at] = values.Y0;
        slice[at + Rows] = values.Y1;
        slice[at + (2 * Rows)] = values.Y2;
        slice[at + (3 * Rows)] = values.Y3;
        slice[at + (4 * Rows)] = values.Y4;
        slice[at + (5 * Rows)] = values.Y5;
        slice[at + (6 * Rows)] = values.Y6;
        slice[at + (7 * Rows)] = values.Y7;
    }

    private static void StoreColumn(Args args, int at, int rows, int columns, Column8 sums)
    {
        Store(args, at, rows, columns, sums.Y0);
        Store(args, at + args.Columns, rows - 1, columns, sums.Y1);
        Store(args, at + (2 * args.Columns), rows - 2, columns, sums.Y2);
        Store(args, at + (3 * args.Columns), rows - 3, columns, sums.Y3);
        Store(args, at + (4 * args.Columns), rows - 4, columns, sums.Y4);
        Store(args, at + (5 * args.Columns), rows - 5, columns, sums.Y5);
        Store(args, at + (6 * args.Columns), rows - 6, columns, sums.Y6);
        Store(args, at + (7 * args.Columns), rows - 7, columns, sums.Y7);
    }

    private static void Store(Args args, int at, int rows, int columns, float sum)
    {
        if (rows > 0 && columns > 0)
            args.Dw[at] = sum;
    }

    internal struct Element
    {
        public int Row, Column, Offset;
    }

    internal struct Args
    {
        public ArrayView<float> X, Dy, Dw;

        /// <summary>The groups of channels, and in one the output channels (rows) and window elements (columns).</summary>
        public int Groups, Rows, Columns;

        public int TilesO, TilesC, Pixels, Piece;
        public int Height, Width, OutHeight, OutWidth, KernelArea, KernelWidth;
        public int StrideH, StrideW, PaddingH, PaddingW, DilationH, DilationW;
    }
}
