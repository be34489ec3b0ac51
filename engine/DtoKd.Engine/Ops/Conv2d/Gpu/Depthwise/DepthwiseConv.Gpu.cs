using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Convolutions whose groups have one input channel: there is nothing to share between channels, so each element of a result is
/// summed up by its own thread, and each weight's gradient by a group of threads.
/// </summary>
internal static class DepthwiseConvGpu
{
    // Pixels that one group of threads sums up for a weight.
    private const int Piece = 16384;

    /// <summary>Whether these kernels are meant for a convolution.</summary>
    public static bool Fits(Conv2dGeometry geometry) => geometry.GroupC == 1 && geometry.Groups > 1;

    public static void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        var args = DepthwiseArgs.Of(geometry, x, y, w, y.Count);
        args.HasBias = bias is null ? 0 : 1;
        if (bias is not null)
            args.Bias = GpuDevice.View<float>(bias);
        args.Accumulate = accumulate ? 1 : 0;
        GridStride.Launch<DepthwiseForward, DepthwiseArgs>((GpuDevice)y.Device, y.Count, args);
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
        var args = DepthwiseArgs.Of(geometry, x, y, w, y.Count);
        args.W = packed.Weights;
        args.Bias = packed.Shifts;
        args.HasBias = 1;
        args.HasResidual = residual is null ? 0 : 1;
        if (residual is not null)
            args.Residual = GpuDevice.View<float>(residual);
        args.Relu = relu ? 1 : 0;
        GridStride.Launch<DepthwiseForward, DepthwiseArgs>(device, y.Count, args);
    }

    public static void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate)
    {
        var args = DepthwiseArgs.Of(geometry, dx, dy, w, dx.Count);
        args.Accumulate = accumulate ? 1 : 0;
        GridStride.Launch<DepthwiseInputGradient, DepthwiseArgs>((GpuDevice)dx.Device, dx.Count, args);
    }

    public static void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate)
    {
        var device = (GpuDevice)dw.Device;
        long pieces = (((long)geometry.N * geometry.OH * geometry.OW) + Piece - 1) / Piece;
        using var sums = new PieceSums(device, dw, pieces, accumulate);
        var args = DepthwiseArgs.Of(geometry, x, dy, dw, dw.Count);
        args.W = sums.Pieces;
        args.Piece = Piece;
        device.Launcher.Launch<DepthwiseWeightGradient, DepthwiseArgs>(pieces * dw.Count, device.GroupSize, args);
    }
}

/// <summary>A depthwise convolution's images and sizes; a multiplier is the output channels of one input channel.</summary>
internal struct DepthwiseArgs
{
    public ArrayView<float> X, Y, W, Bias, Residual;
    public int HasBias, HasResidual, Relu, Accumulate;
    public int Count, Piece, Images, Channels, Multiplier, Height, Width, OutHeight, OutWidth, KernelH, KernelW;
    public int StrideH, StrideW, PaddingH, PaddingW, DilationH, DilationW;

    public static DepthwiseArgs Of(Conv2dGeometry geometry, Tensor x, Tensor y, Tensor w, long count) => new()
    {
        X = GpuDevice.View<float>(x),
        Y = GpuDevice.View<float>(y),
        W = GpuDevice.View<float>(w),
        Bias = GpuDevice.View<float>(y),
        Residual = GpuDevice.View<float>(y),
        Count = checked((int)count),
        Images = geometry.N,
        Channels = geometry.C,
        Multiplier = geometry.GroupO,
        Height = geometry.H,
        Width = geometry.W,
        OutHeight = geometry.OH,
        OutWidth = geometry.OW,
        KernelH = geometry.Kernel.Height,
        KernelW = geometry.Kernel.Width,
        StrideH = geometry.Stride.Height,
        StrideW = geometry.Stride.Width,
        PaddingH = geometry.Padding.Height,
        PaddingW = geometry.Padding.Width,
        DilationH = geometry.Dilation.Height,
        DilationW = geometry.Dilation.Width,
    };
}

/// <summary>A thread for each element of y.</summary>
internal readonly struct DepthwiseForward : IKernel<DepthwiseArgs>
{
    public static void Run(DepthwiseArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.OutWidth, plane = line / args.OutHeight;
            int row = ((line - (plane * args.OutHeight)) * args.StrideH) - args.PaddingH;
            int column = ((i - (line * args.OutWidth)) * args.StrideW) - args.PaddingW;
            int output = plane % (args.Channels * args.Multiplier), weight = output * args.KernelH * args.KernelW;
            // Planes of x in the order of the images, as many times fewer as an input channel has outputs.
            int source = plane / args.Multiplier * args.Height;
            float sum = args.HasBias != 0 ? args.Bias[output] : 0;
            for (int a = 0; a < args.KernelH; a++, row += args.DilationH)
            {
                int at = ((source + row) * args.Width) + column, across = column;
                for (int b = 0; b < args.KernelW; b++, weight++, at += args.DilationW, across += args.DilationW)
                {
                    if (row >= 0 && row < args.Height && across >= 0 && across < args.Width)
                        sum = Ptx.Fma(args.W[weight], args.X[at], sum);
                }
            }

            if (args.HasResidual != 0)
                sum += args.Residual[i];
            if (args.Relu != 0)
                sum = Ptx.Max(sum, 0);
            args.Y[i] = args.Accumulate != 0 ? args.Y[i] + sum : sum;
        }
    }
}

/// <summary>A thread for each element of dx: it looks for the windows that read it.</summary>
internal readonly struct DepthwiseInputGradient : IKernel<DepthwiseArgs>
{
    public static void Run(DepthwiseArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.Width, plane = line / args.Height;
            int row = line - (plane * args.Height) + args.PaddingH, column = i - (line * args.Width) + args.PaddingW;
            int weight = plane % args.Channels * args.Multiplier * args.KernelH * args.KernelW;
            float sum = 0;
            for (int output = plane * args.Multiplier; output < (plane + 1) * args.Multiplier; output++)
            {
                for (int a = 0; a < args.KernelH; a++)
                {
                    int down = row - (a * args.DilationH), i1 = down / args.StrideH;
                    bool isRow = down >= 0 && i1 < args.OutHeight && i1 * args.StrideH == down;
                    for (int b = 0; b < args.KernelW; b++, weight++)
                    {
                        int across = column - (b * args.DilationW), j = across / args.StrideW;
                        if (isRow && across >= 0 && j < args.OutWidth && j * args.StrideW == across)
                            sum = Ptx.Fma(args.W[weight], args.Y[(((output * args.OutHeight) + i1) * args.OutWidth) + j], sum);
                    }
                }
            }

            args.X[i] = args.Accumulate != 0 ? args.X[i] + sum : sum;
        }
    }
}

/// <summary>A group of threads for each weight and piece of the pixels: every so many pixels one, then by halves.</summary>
internal readonly struct DepthwiseWeightGradient : IKernel<DepthwiseArgs>
{
    public static void Run(DepthwiseArgs args)
    {
        int piece = Grid.IdxX / args.Count, weight = Grid.IdxX - (piece * args.Count);
        int line = weight / args.KernelW, output = line / args.KernelH;
        int rowOffset = ((line - (output * args.KernelH)) * args.DilationH) - args.PaddingH;
        int columnOffset = ((weight - (line * args.KernelW)) * args.DilationW) - args.PaddingW;
        int outputs = args.Channels * args.Multiplier, area = args.OutHeight * args.OutWidth;
        int first = piece * args.Piece, end = IntrinsicMath.Min(first + args.Piece, args.Images * area);
        float sum = 0;
        for (int p = first + Group.IdxX; p < end; p += Group.DimX)
        {
            int image = p / area, pixel = p - (image * area), i = pixel / args.OutWidth;
            int row = (i * args.StrideH) + rowOffset, column = ((pixel - (i * args.OutWidth)) * args.StrideW) + columnOffset;
            if (row < 0 || row >= args.Height || column < 0 || column >= args.Width)
                continue;
            int plane = (image * args.Channels) + (output / args.Multiplier);
            float x = args.X[(((plane * args.Height) + row) * args.Width) + column];
            sum = Ptx.Fma(x, args.Y[(((image * outputs) + output) * area) + pixel], sum);
        }

        sum = GroupFold.Of<SumOf>(sum);
        if (Group.IdxX == 0)
            args.W[Grid.IdxX] = sum;
    }
}
