using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Convolutions as products of matrices that are never written down: channels by pixels, with an inner axis of window elements
/// and channels whose pixels are found as they are read (Chetlur et al.: "cuDNN: Efficient primitives for deep learning", 2014,
/// section 3). One kernel makes y and, phase by phase, dx.
/// </summary>
internal sealed class Conv2dGpu : IConv2dKernels
{
    public void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        if (y.Count == 0)
            return;
        if (DepthwiseConvGpu.Fits(geometry))
        {
            DepthwiseConvGpu.Forward(geometry, x, w, bias, y, accumulate);
            return;
        }

        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        Product(
            geometry.Groups,
            ConvPhase.Forward(geometry.OH, kernel.Height, stride.Height, padding.Height, dilation.Height),
            ConvPhase.Forward(geometry.OW, kernel.Width, stride.Width, padding.Width, dilation.Width),
            new ConvWeights.Order(geometry, rowsAreOutputs: true), x, w, bias, y, accumulate);
    }

    public void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate)
    {
        if (dx.Count == 0)
            return;
        if (DepthwiseConvGpu.Fits(geometry))
        {
            DepthwiseConvGpu.InputGradient(geometry, dy, w, dx, accumulate);
            return;
        }

        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        for (int row = 0; row < Math.Min(stride.Height, geometry.H); row++)
        {
            for (int column = 0; column < Math.Min(stride.Width, geometry.W); column++)
            {
                Product(
                    geometry.Groups,
                    ConvPhase.Backward(row, geometry.H, kernel.Height, stride.Height, padding.Height, dilation.Height),
                    ConvPhase.Backward(column, geometry.W, kernel.Width, stride.Width, padding.Width, dilation.Width),
                    new ConvWeights.Order(geometry, rowsAreOutputs: false), dy, w, null, dx, accumulate);
            }
        }
    }

    public void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate)
    {
        if (dw.Count == 0)
            return;
        if (dy.Count == 0)
        {
            if (!accumulate)
                dw.Clear();
            return;
        }

        if (DepthwiseConvGpu.Fits(geometry))
            DepthwiseConvGpu.WeightGradient(geometry, x, dy, dw, accumulate);
        else
            ConvWeightGradientGpu.Run(geometry, x, dy, dw, accumulate);
    }

    /// <summary>One phase: its weights are brought into the order in which the product reads them, then multiplied.</summary>
    private static void Product(
        int groups, ConvPhase down, ConvPhase across, ConvWeights.Order order, Tensor source, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        int inner = checked(order.Depth * down.Taps * across.Taps);
        if (inner == 0 && accumulate && bias is null)
            return;
        var device = (GpuDevice)y.Device;
        int tiles = (order.Rows + ConvTile.Size - 1) / ConvTile.Size, lines = (inner + ConvTile.Slice - 1) / ConvTile.Slice * ConvTile.Slice;
        long count = (long)groups * lines * tiles * ConvTile.Size;
        // Without a slice nothing is read, but a view must be valid.
        var scratch = new Storage(device.Pool, Math.Max(1, count) * sizeof(float), "conv2d weights");
        var packed = device.View<float>(scratch, 0, count);
        GridStride.Launch<ConvWeights, ConvWeights.Args>(device, count, new()
        {
            W = GpuDevice.View<float>(w),
            Y = packed,
            Count = checked((int)count),
            Pitch = tiles * ConvTile.Size,
            Lines = lines,
            Inner = inner,
            Order = order,
            Down = down,
            Across = across,
        });
        Shape from = source.Shape, to = y.Shape;
        int pixels = checked(to[0] * down.Count * across.Count);
        var args = new ConvProduct.Args
        {
            Source = GpuDevice.View<float>(source),
            Weights = packed,
            Bias = GpuDevice.View<float>(bias ?? y),
            Y = GpuDevice.View<float>(y),
            HasBias = bias is null ? 0 : 1,
            Accumulate = accumulate ? 1 : 0,
            Groups = groups,
            Rows = order.Rows,
            Depth = order.Depth,
            Inner = inner,
            Lines = lines,
            Tiles = tiles,
            Pixels = pixels,
            SourceHeight = from[2],
            SourceWidth = from[3],
            Height = to[2],
            Width = to[3],
            Down = down,
            Across = across,
        };
        long pixelTiles = ((long)pixels + ConvTile.Size - 1) / ConvTile.Size;
        device.Launcher.Launch<ConvProduct, ConvProduct.Args>(pixelTiles * tiles * groups, ConvTile.Threads, args);
        scratch.Release();
    }
}

/// <summary>
/// The weights of a phase as the product reads them: [group, tap, depth, row], rows filled up with zeros to whole tiles, the
/// others together to whole slices.
/// </summary>
internal readonly struct ConvWeights : IKernel<ConvWeights.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.Pitch, row = i - (line * args.Pitch);
            int group = line / args.Lines, inner = line - (group * args.Lines);
            float weight = 0;
            if (inner < args.Inner && row < args.Order.Rows)
            {
                int tap = inner / args.Order.Depth, depth = inner - (tap * args.Order.Depth);
                int a = tap / args.Across.Taps, b = tap - (a * args.Across.Taps);
                a = args.Down.FirstTap + (a * args.Down.TapStep);
                b = args.Across.FirstTap + (b * args.Across.TapStep);
                weight = args.W[
                    (group * args.Order.GroupStride) + (row * args.Order.RowStride) + (depth * args.Order.DepthStride)
                    + (a * args.Order.KernelWidth) + b];
            }

            args.Y[i] = weight;
        }
    }

    /// <summary>Which axis of the weights [O, C / groups, kh, kw] makes rows of the result, and which is summed over.</summary>
    internal readonly struct Order(Conv2dGeometry geometry, bool rowsAreOutputs)
    {
        public readonly int Rows = rowsAreOutputs ? geometry.GroupO : geometry.GroupC;
        public readonly int Depth = rowsAreOutputs ? geometry.GroupC : geometry.GroupO;
        public readonly int RowStride = geometry.KernelArea * (rowsAreOutputs ? geometry.GroupC : 1);
        public readonly int DepthStride = geometry.KernelArea * (rowsAreOutputs ? 1 : geometry.GroupC);
        public readonly int GroupStride = geometry.KernelArea * geometry.GroupC * geometry.GroupO;
        public readonly int KernelWidth = geometry.Kernel.Width;
    }

    internal struct Args
    {
        public ArrayView<float> W, Y;
        public int Count, Pitch, Lines, Inner;
        public Order Order;
        public ConvPhase Down, Across;
    }
}

/// <summary>
/// y = weights times the windows of the source, a tile of channels by pixels for each group of threads. While one slice is
/// multiplied the next is on its way from memory. The inner axis has the channels innermost: a thread that reads one pixel of
/// every second channel looks for its place only once for each element of the window.
/// </summary>
internal readonly struct ConvProduct : IKernel<ConvProduct.Args>
{
    private const int Pitch = ConvTile.Size / 4;

    public static int MaxGroupSize => ConvTile.Threads;

    public static void Run(Args args)
    {
        var left = SharedMemory.Allocate<Float4>(ConvTile.Slice * Pitch);
        var right = SharedMemory.Allocate<Float4>(ConvTile.Slice * Pitch);
        var pixels = right.Cast<float>();
        int block = Grid.IdxX, pair = block / args.Tiles, row = (block - (pair * args.Tiles)) * ConvTile.Size;
        int pixelTiles = (args.Pixels + ConvTile.Size - 1) / ConvTile.Size;
        int group = pair / pixelTiles, pixel = (pair - (group * pixelTiles)) * ConvTile.Size;

        int thread = Group.IdxX, half = thread / ConvTile.Size;
        var window = Window.At(args, group, pixel + (thread % ConvTile.Size), half);
        int line = thread / Pitch, weightPitch = args.Tiles * ConvTile.Size;
        int weight = (((group * args.Lines) + line) * weightPitch) + row + (thread % Pitch * 4);
        var tile = default(ConvTile);
        Float4 w0 = default, w1 = default;
        Column8 x = default;
        if (args.Inner > 0)
        {
            w0 = Ptx.LoadReadOnly4(ref args.Weights[weight]);
            w1 = Ptx.LoadReadOnly4(ref args.Weights[weight + (8 * weightPitch)]);
            x = window.Next8(args);
        }

        for (int k = 0; k < args.Inner; k += ConvTile.Slice)
        {
            left[thread] = w0;
            left[thread + ConvTile.Threads] = w1;
            Store(pixels, (half * ConvTile.Size) + (thread % ConvTile.Size), x);
            Group.Barrier();
            if (k + ConvTile.Slice < args.Inner)
            {
                weight += ConvTile.Slice * weightPitch;
                w0 = Ptx.LoadReadOnly4(ref args.Weights[weight]);
                w1 = Ptx.LoadReadOnly4(ref args.Weights[weight + (8 * weightPitch)]);
                x = window.Next8(args);
            }

            tile.Add(left, right, Pitch);
            Group.Barrier();
        }

        row += ConvTile.Row;
        pixel += ConvTile.Column;
        StoreColumn(args, group, row, pixel, tile.Column0);
        StoreColumn(args, group, row, pixel + 1, tile.Column1);
        StoreColumn(args, group, row, pixel + 2, tile.Column2);
        StoreColumn(args, group, row, pixel + 3, tile.Column3);
    }

    private static void Store(ArrayView<float> pixels, int at, Column8 x)
    {
        const int Step = 2 * ConvTile.Size;
        pixels[at] = x.Y0;
        pixels[at + Step] = x.Y1;
        pixels[at + (2 * Step)] = x.Y2;
        pixels[at + (3 * Step)] = x.Y3;
        pixels[at + (4 * Step)] = x.Y4;
        pixels[at + (5 * Step)] = x.Y5;
        pixels[at + (6 * Step)] = x.Y6;
        pixels[at + (7 * Step)] = x.Y7;
    }

    private static void StoreColumn(Args args, int group, int row, int pixel, Column8 sums)
    {
        if (pixel >= args.Pixels)
            return;
        int line = pixel / args.Across.Count, across = pixel - (line * args.Across.Count);
        int image = line / args.Down.Count, down = line - (image * args.Down.Count);
        int channel = (group * args.Rows) + row, area = args.Height * args.Width;
        int at = (((image * args.Groups * args.Rows) + channel) * area)
            + ((args.Down.First + (down * args.Down.Step)) * args.Width) + args.Across.First + (across * args.Across.Step);
        int rows = args.Rows - row;
        Store(args, at, channel, rows, sums.Y0);
        Store(args, at + area, channel + 1, rows - 1, sums.Y1);
        Store(args, at + (2 * area), channel + 2, rows - 2, sums.Y2);
        Store(args, at + (3 * area), channel + 3, rows - 3, sums.Y3);
        Store(args, at + (4 * area), channel + 4, rows - 4, sums.Y4);
        Store(args, at + (5 * area), channel + 5, rows - 5, sums.Y5);
        Store(args, at + (6 * area), channel + 6, rows - 6, sums.Y6);
        Store(args, at + (7 * area), channel + 7, rows - 7, sums.Y7);
    }

    private static void Store(Args args, int at, int channel, int rows, float sum)
    {
        if (rows <= 0)
            return;
        if (args.HasBias != 0)
            sum += args.Bias[channel];
        if (args.Accumulate != 0)
            sum += args.Y[at];
        args.Y[at] = sum;
    }

    /// <summary>Where a thread reads: one pixel's windows, every second channel of each of their elements.</summary>
    internal struct Window
    {
        private int _channel, _a, _b, _at, _isInside, _row, _column, _base;

        public static Window At(Args args, int group, int pixel, int channel)
        {
            int line = pixel / args.Across.Count, across = pixel - (line * args.Across.Count);
            int image = line / args.Down.Count, down = line - (image * args.Down.Count);
            var window = default(Window);
            window._row = (down * args.Down.SourceStep) + args.Down.Origin;
            window._column = (across * args.Across.SourceStep) + args.Across.Origin;
            window._base = ((image * args.Groups) + group) * args.Depth * args.SourceHeight * args.SourceWidth;
            // Beyond the last pixel, every row is outside.
            window._row = pixel < args.Pixels ? window._row : int.MinValue / 2;
            window._channel = channel;
            if (args.Inner > 0)
                window.Find(args);
            return window;
        }

        /// <summary>The next eight.</summary>
        public Column8 Next8(Args args)
        {
            Column8 x;
            x.Y0 = Next(args);
            x.Y1 = Next(args);
            x.Y2 = Next(args);
            x.Y3 = Next(args);
            x.Y4 = Next(args);
            x.Y5 = Next(args);
            x.Y6 = Next(args);
            x.Y7 = Next(args);
            return x;
        }

        private float Next(Args args)
        {
            float x = _isInside != 0 ? args.Source[_at] : 0;
            _channel += 2;
            _at += 2 * args.SourceHeight * args.SourceWidth;
            if (_channel >= args.Depth)
                Find(args);
            return x;
        }

        /// <summary>Finds the place of a channel, which may be one of the next elements of the window.</summary>
        private void Find(Args args)
        {
            while (_channel >= args.Depth)
            {
                _channel -= args.Depth;
                _b++;
                if (_b == args.Across.Taps)
                {
                    _b = 0;
                    _a++;
                }
            }

            int row = _row + (_a * args.Down.SourceTap), column = _column + (_b * args.Across.SourceTap);
            bool isInside = _a < args.Down.Taps && row >= 0 && row < args.SourceHeight && column >= 0 && column < args.SourceWidth;
            _isInside = isInside ? 1 : 0;
            _at = _base + (((_channel * args.SourceHeight) + row) * args.SourceWidth) + column;
        }
    }

    internal struct Args
    {
        public ArrayView<float> Source, Weights, Bias, Y;
        public int HasBias, Accumulate;

        /// <summary>The groups of channels, and in one the channels of y (rows) and of the source (depth).</summary>
        public int Groups, Rows, Depth;

        /// <summary>The inner axis, and to whole slices; the tiles that cover the rows; the images' targets of this phase.</summary>
        public int Inner, Lines, Tiles, Pixels;

        public int SourceHeight, SourceWidth, Height, Width;
        public ConvPhase Down, Across;
    }
}
