using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Convolutions whose groups have one input channel: there is nothing to share between channels, so a thread sums up four pixels
/// of a result, and a group of threads three weights' gradients.
/// </summary>
internal static class DepthwiseConvGpu
{
    // Pixels that one group of threads sums up for a weight.
    private const int Piece = 16384;

    /// <summary>Whether these kernels are meant for a convolution.</summary>
    public static bool Fits(Conv2dGeometry geometry) => geometry.GroupC == 1 && geometry.Groups > 1;

    public static void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        var args = Product(geometry, x, y, GpuDevice.View<float>(w));
        args.Accumulate = accumulate ? 1 : 0;
        args.HasBias = bias is null ? 0 : 1;
        if (bias is not null)
            args.Bias = GpuDevice.View<float>(bias);
        Launch((GpuDevice)y.Device, args);
    }

    public static void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, FixedNorm norm, Tensor? residual, bool relu, Tensor y)
    {
        var device = (GpuDevice)y.Device;
        var (kernel, one) = (geometry.Kernel, geometry with { C = geometry.O, Groups = geometry.O });
        using var packed = PackedWeights.By<ConvWeights>(device, w, norm, new()
        {
            Weights = geometry.O * geometry.KernelArea,
            Groups = geometry.O,
            Pitch = 1,
            Lines = geometry.KernelArea,
            Depth = 1,
            Order = new ConvOrder(one, rowsAreOutputs: true),
            Down = ConvPhase.Forward(geometry.OH, kernel.Height, 1, 0, 1),
            Across = ConvPhase.Forward(geometry.OW, kernel.Width, 1, 0, 1),
        });
        var args = Product(geometry, x, y, packed.Weights);
        args.Bias = packed.Shifts;
        args.HasBias = 1;
        args.HasResidual = residual is null ? 0 : 1;
        if (residual is not null)
            args.Residual = GpuDevice.View<float>(residual);
        args.Relu = relu ? 1 : 0;
        Launch(device, args);
    }

    public static void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate)
    {
        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        var args = DepthwiseArgs.Of(geometry, dy, dx, GpuDevice.View<float>(w));
        args.Depth = args.PerChannel = geometry.GroupO;
        args.PerSource = 1;
        args.Accumulate = accumulate ? 1 : 0;
        for (int row = 0; row < Math.Min(stride.Height, geometry.H); row++)
        {
            args.Down = ConvPhase.Backward(row, geometry.H, kernel.Height, stride.Height, padding.Height, dilation.Height);
            for (int column = 0; column < Math.Min(stride.Width, geometry.W); column++)
            {
                args.Across = ConvPhase.Backward(column, geometry.W, kernel.Width, stride.Width, padding.Width, dilation.Width);
                Launch((GpuDevice)dx.Device, args);
            }
        }
    }

    public static void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate)
    {
        var device = (GpuDevice)dw.Device;
        int pixels = checked(geometry.N * geometry.OH * geometry.OW), pieces = (pixels + Piece - 1) / Piece;
        int triples = (geometry.Kernel.Width + DepthwiseWeightGradient.Taps - 1) / DepthwiseWeightGradient.Taps;
        using var sums = new PieceSums(device, dw, pieces, accumulate);
        long groups = (long)pieces * geometry.O * geometry.Kernel.Height * triples;
        device.Launcher.Launch<DepthwiseWeightGradient, DepthwiseWeightGradient.Args>(groups, device.GroupSize, new()
        {
            X = GpuDevice.View<float>(x),
            Dy = GpuDevice.View<float>(dy),
            Dw = sums.Pieces,
            Count = checked((int)dw.Count),
            Piece = Piece,
            Pixels = pixels,
            Triples = triples,
            Channels = geometry.C,
            Outputs = geometry.O,
            PerChannel = geometry.GroupO,
            Height = geometry.H,
            Width = geometry.W,
            OutHeight = geometry.OH,
            OutWidth = geometry.OW,
            KernelHeight = geometry.Kernel.Height,
            KernelWidth = geometry.Kernel.Width,
            Stride = new(geometry.Stride),
            Padding = new(geometry.Padding),
            Dilation = new(geometry.Dilation),
        });
    }

    private static DepthwiseArgs Product(Conv2dGeometry geometry, Tensor x, Tensor y, ArrayView<float> w)
    {
        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        var args = DepthwiseArgs.Of(geometry, x, y, w);
        args.Depth = args.PerChannel = 1;
        args.PerSource = geometry.GroupO;
        args.Down = ConvPhase.Forward(geometry.OH, kernel.Height, stride.Height, padding.Height, dilation.Height);
        args.Across = ConvPhase.Forward(geometry.OW, kernel.Width, stride.Width, padding.Width, dilation.Width);
        return args;
    }

    private static void Launch(GpuDevice device, DepthwiseArgs args)
    {
        args.Quads = (args.Down.Count + 3) / 4;
        args.Count = checked(args.Planes * args.Quads * args.Across.Count);
        GridStride.Launch<DepthwiseProduct, DepthwiseArgs>(device, args.Count, args);
    }
}

/// <summary>What <see cref="DepthwiseProduct"/> takes.</summary>
internal struct DepthwiseArgs
{
    public ArrayView<float> Source, W, Bias, Residual, Y;
    public int HasBias, HasResidual, Relu, Accumulate;

    /// <summary>Threads' worth of work, four pixels below each other of a channel each.</summary>
    public int Count, Quads;

    /// <summary>Channels of all images of y, and of one.</summary>
    public int Planes, Channels;

    /// <summary>
    /// The channels of the source that a channel of y is the sum over; channel c of y begins at c / PerSource PerChannel of them, and
    /// at c PerChannel of the weights.
    /// </summary>
    public int Depth, PerSource, PerChannel, SourceChannels;

    public int SourceHeight, SourceWidth, Height, Width, KernelHeight, KernelWidth;
    public ConvPhase Down, Across;

    public static DepthwiseArgs Of(Conv2dGeometry geometry, Tensor source, Tensor y, ArrayView<float> w)
    {
        Shape from = source.Shape, to = y.Shape;
        return new()
        {
            Source = GpuDevice.View<float>(source),
            W = w,
            Bias = w,
            Residual = w,
            Y = GpuDevice.View<float>(y),
            Planes = checked(to[0] * to[1]),
            Channels = to[1],
            SourceChannels = from[1],
            SourceHeight = from[2],
            SourceWidth = from[3],
            Height = to[2],
            Width = to[3],
            KernelHeight = geometry.Kernel.Height,
            KernelWidth = geometry.Kernel.Width,
        };
    }
}

/// <summary>
/// y or, phase by phase, dx: a thread makes four pixels below each other, for which it reads each weight once; neighbouring threads
/// make neighbouring columns.
/// </summary>
internal readonly struct DepthwiseProduct : IKernel<DepthwiseArgs>
{
    public static void Run(DepthwiseArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.Across.Count, across = i - (line * args.Across.Count);
            int plane = line / args.Quads, down = (line - (plane * args.Quads)) * 4;
            int image = plane / args.Channels, channel = plane - (image * args.Channels);
            Float4 sums = default;
            for (int k = 0; k < args.Depth; k++)
            {
                int source = (image * args.SourceChannels) + (channel / args.PerSource * args.PerChannel) + k;
                sums = Add(args, source, (channel * args.PerChannel) + k, down, across, sums);
            }

            if (args.HasBias != 0)
                sums += new Float4(args.Bias[channel]);
            int at = (((plane * args.Height) + args.Down.First + (down * args.Down.Step)) * args.Width)
                + args.Across.First + (across * args.Across.Step);
            int step = args.Down.Step * args.Width;
            Store(args, at, down, sums.X);
            Store(args, at + step, down + 1, sums.Y);
            Store(args, at + (2 * step), down + 2, sums.Z);
            Store(args, at + (3 * step), down + 3, sums.W);
        }
    }

    /// <summary>Adds the windows of a channel of the source.</summary>
    private static Float4 Add(DepthwiseArgs args, int plane, int weights, int down, int across, Float4 sums)
    {
        int top = (down * args.Down.SourceStep) + args.Down.Origin, step = args.Down.SourceStep;
        int column = (across * args.Across.SourceStep) + args.Across.Origin;
        weights = (((weights * args.KernelHeight) + args.Down.FirstTap) * args.KernelWidth) + args.Across.FirstTap;
        for (int b = 0; b < args.Across.Taps; b++, column += args.Across.SourceTap, weights += args.Across.TapStep)
        {
            if ((uint)column >= (uint)args.SourceWidth)
                continue;
            int row = top, at = (((plane * args.SourceHeight) + top) * args.SourceWidth) + column, weight = weights;
            for (int a = 0; a < args.Down.Taps; a++)
            {
                float w = args.W[weight];
                sums.X = Ptx.Fma(w, Read(args, row, at), sums.X);
                sums.Y = Ptx.Fma(w, Read(args, row + step, at + (step * args.SourceWidth)), sums.Y);
                sums.Z = Ptx.Fma(w, Read(args, row + (2 * step), at + (2 * step * args.SourceWidth)), sums.Z);
                sums.W = Ptx.Fma(w, Read(args, row + (3 * step), at + (3 * step * args.SourceWidth)), sums.W);
                row += args.Down.SourceTap;
                at += args.Down.SourceTap * args.SourceWidth;
                weight += args.Down.TapStep * args.KernelWidth;
            }
        }

        return sums;
    }

    private static float Read(DepthwiseArgs args, int row, int at) => (uint)row < (uint)args.SourceHeight ? args.Source[at] : 0;

    private static void Store(DepthwiseArgs args, int at, int down, float sum)
    {
        if (down >= args.Down.Count)
            return;
        if (args.HasResidual != 0)
            sum += args.Residual[at];
        if (args.Relu != 0)
            sum = Ptx.Max(sum, 0);
        args.Y[at] = args.Accumulate != 0 ? args.Y[at] + sum : sum;
    }
}

/// <summary>
/// A group of threads for three weights of a kernel's row and a piece of the pixels: each thread takes every so many pixels, then
/// the group sums up by halves.
/// </summary>
internal readonly struct DepthwiseWeightGradient : IKernel<DepthwiseWeightGradient.Args>
{
    /// <summary>Weights of a group.</summary>
    public const int Taps = 3;

    public static void Run(Args args)
    {
        int line = Grid.IdxX / args.Triples, b = (Grid.IdxX - (line * args.Triples)) * Taps;
        int pair = line / args.KernelHeight, a = line - (pair * args.KernelHeight);
        int piece = pair / args.Outputs, output = pair - (piece * args.Outputs);
        int first = piece * args.Piece, end = IntrinsicMath.Min(first + args.Piece, args.Pixels);

        // From one pixel of a thread to its next one, and where it begins.
        int area = args.OutHeight * args.OutWidth;
        int images = Group.DimX / area, lines = (Group.DimX - (images * area)) / args.OutWidth;
        int columns = Group.DimX - (images * area) - (lines * args.OutWidth);
        int pixel = first + Group.IdxX, image = pixel / area, i = (pixel - (image * area)) / args.OutWidth;
        int j = pixel - (image * area) - (i * args.OutWidth);
        float x = 0, y = 0, z = 0;
        for (; pixel < end; pixel += Group.DimX)
        {
            int row = (i * args.Stride.Down) - args.Padding.Down + (a * args.Dilation.Down);
            if ((uint)row < (uint)args.Height)
            {
                int column = (j * args.Stride.Across) - args.Padding.Across + (b * args.Dilation.Across);
                int plane = (image * args.Channels) + (output / args.PerChannel);
                int at = (((plane * args.Height) + row) * args.Width) + column;
                float dy = args.Dy[(((((image * args.Outputs) + output) * args.OutHeight) + i) * args.OutWidth) + j];
                x = Ptx.Fma(dy, Read(args, column, at), x);
                y = Ptx.Fma(dy, Read(args, column + args.Dilation.Across, at + args.Dilation.Across), y);
                z = Ptx.Fma(dy, Read(args, column + (2 * args.Dilation.Across), at + (2 * args.Dilation.Across)), z);
            }

            j += columns;
            i += lines;
            image += images;
            if (j >= args.OutWidth)
            {
                j -= args.OutWidth;
                i++;
            }

            if (i >= args.OutHeight)
            {
                i -= args.OutHeight;
                image++;
            }
        }

        x = GroupFold.Of<SumOf>(x);
        y = GroupFold.Of<SumOf>(y);
        z = GroupFold.Of<SumOf>(z);
        int to = (piece * args.Count) + (((output * args.KernelHeight) + a) * args.KernelWidth) + b;
        // A thread for each.
        if (Group.IdxX < IntrinsicMath.Min(Taps, args.KernelWidth - b))
            args.Dw[to + Group.IdxX] = Group.IdxX == 0 ? x : Group.IdxX == 1 ? y : z;
    }

    private static float Read(Args args, int column, int at) => (uint)column < (uint)args.Width ? args.X[at] : 0;

    internal struct Args
    {
        public ArrayView<float> X, Dy, Dw;

        /// <summary>Weights; pixels of a piece and in all; groups of threads for a row of a kernel.</summary>
        public int Count, Piece, Pixels, Triples;

        /// <summary>Channels of x and of dy, and those of dy for one of x.</summary>
        public int Channels, Outputs, PerChannel;

        public int Height, Width, OutHeight, OutWidth, KernelHeight, KernelWidth;
        public ConvPair Stride, Padding, Dilation;
    }
}
