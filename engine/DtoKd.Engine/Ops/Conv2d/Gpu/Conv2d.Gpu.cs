namespace DtoKd.Engine.Gpu;

/// <summary>
/// Convolutions as products of matrices that are never written down: channels by pixels, with an inner axis of window elements
/// and channels whose pixels are found as they are read (Chetlur et al.: "cuDNN: Efficient primitives for deep learning", 2014,
/// section 3). One kernel makes y and, phase by phase, dx.
/// </summary>
/// <param name="tile">The rows of the tiles in which it multiplies; by the shape when null.</param>
internal sealed class Conv2dGpu(int? tile = null) : IConv2dKernels, IConv2dNormKernels
{
    public void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        if (y.Count == 0)
            return;
        if (DepthwiseConvGpu.Fits(geometry))
            DepthwiseConvGpu.Forward(geometry, x, w, bias, y, accumulate);
        else
            Forward(geometry, x, w, new() { Bias = bias, Accumulate = accumulate }, y);
    }

    public void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, FixedNorm norm, Tensor? residual, bool relu, Tensor y)
    {
        if (y.Count == 0)
            return;
        if (DepthwiseConvGpu.Fits(geometry))
            DepthwiseConvGpu.Forward(geometry, x, w, norm, residual, relu, y);
        else
            Forward(geometry, x, w, new() { Norm = norm, Residual = residual, Relu = relu }, y);
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
        var order = new ConvWeights.Order(geometry, rowsAreOutputs: false);
        for (int row = 0; row < Math.Min(stride.Height, geometry.H); row++)
        {
            for (int column = 0; column < Math.Min(stride.Width, geometry.W); column++)
            {
                var down = ConvPhase.Backward(row, geometry.H, kernel.Height, stride.Height, padding.Height, dilation.Height);
                var across = ConvPhase.Backward(column, geometry.W, kernel.Width, stride.Width, padding.Width, dilation.Width);
                if (order.Depth * down.Taps * across.Taps > 0 || !accumulate)
                    Product(geometry.Groups, down, across, order, dy, w, new() { Accumulate = accumulate }, dx);
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
            ConvWeightGradientGpu.Run(geometry, x, dy, dw, accumulate, tile);
    }

    private static void Launch<TTile>(GpuDevice device, ConvProductArgs args)
        where TTile : struct, IConvTile
    {
        long across = ((long)args.Pixels + ConvTile<TTile>.Columns - 1) / ConvTile<TTile>.Columns;
        device.Launcher.Launch<ConvProduct<TTile>, ConvProductArgs>(
            across * args.Groups * args.TilesOf(ConvTile<TTile>.Rows), ConvTile<TTile>.Threads, args);
    }

    private void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Epilogue epilogue, Tensor y)
    {
        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        Product(
            geometry.Groups,
            ConvPhase.Forward(geometry.OH, kernel.Height, stride.Height, padding.Height, dilation.Height),
            ConvPhase.Forward(geometry.OW, kernel.Width, stride.Width, padding.Width, dilation.Width),
            new ConvWeights.Order(geometry, rowsAreOutputs: true), x, w, epilogue, y);
    }

    /// <summary>One phase: its weights are brought into the order in which the product reads them, then multiplied.</summary>
    private void Product(
        int groups, ConvPhase down, ConvPhase across, ConvWeights.Order order, Tensor source, Tensor w, Epilogue epilogue, Tensor y)
    {
        var device = (GpuDevice)y.Device;
        // Depths and rows to fours; taps and depths together to whole slices.
        int depth = (order.Depth + 3) / 4 * 4, pitch = (order.Rows + 3) / 4 * 4;
        int lines = (checked(depth * down.Taps * across.Taps) + ConvWeights.Slice - 1) / ConvWeights.Slice * ConvWeights.Slice;
        using var packed = new PackedWeights(device, w, epilogue.Norm, new()
        {
            Groups = groups,
            Pitch = pitch,
            Lines = lines,
            Depth = Math.Max(1, depth),
            Order = order,
            Down = down,
            Across = across,
        });
        Shape from = source.Shape, to = y.Shape;
        var args = new ConvProductArgs
        {
            // Without a line nothing is read, but a view must be valid.
            Source = lines == 0 ? packed.Weights : GpuDevice.View<float>(source),
            Weights = packed.Weights,
            Bias = epilogue.Bias is null ? packed.Shifts : GpuDevice.View<float>(epilogue.Bias),
            Residual = GpuDevice.View<float>(epilogue.Residual ?? y),
            Y = GpuDevice.View<float>(y),
            HasBias = epilogue.Bias is null && epilogue.Norm is null ? 0 : 1,
            HasResidual = epilogue.Residual is null ? 0 : 1,
            Relu = epilogue.Relu ? 1 : 0,
            Accumulate = epilogue.Accumulate ? 1 : 0,
            Groups = groups,
            Rows = order.Rows,
            Pitch = pitch,
            Depth = Math.Max(1, order.Depth),
            Lines = lines,
            Pixels = checked(to[0] * down.Count * across.Count),
            SourceHeight = from[2],
            SourceWidth = from[3],
            SourceArea = from[2] * from[3],
            Width = to[3],
            Area = to[2] * to[3],
            Down = down,
            Across = across,
        };
        switch (tile ?? RowsOfTile(order.Rows, args.Pixels, groups))
        {
            case 128:
                Launch<Rows128>(device, args);
                break;
            case 64:
                Launch<Rows64>(device, args);
                break;
            case 32:
                Launch<Rows32>(device, args);
                break;
            default:
                Launch<Rows16>(device, args);
                break;
        }
    }

    /// <summary>
    /// The tile's rows. A large tile reads each number from shared memory for more products; it does not pay if much of it is empty
    /// or if there are so few that half of a large card idles.
    /// </summary>
    private static int RowsOfTile(int rows, int pixels, int groups)
    {
        if (rows <= 16)
            return 16;
        const long Enough = 128;
        long across = (long)groups * ((pixels + 127) / 128);
        int size = 128;
        while (size > 32 && (((rows + size - 1) / size * size) - rows > rows / 4 || (rows + size - 1) / size * across < Enough))
            size /= 2;
        return size;
    }

    /// <summary>What is done to the sums.</summary>
    private readonly record struct Epilogue(
        Tensor? Bias, FixedNorm? Norm, Tensor? Residual, bool Relu, bool Accumulate);
}
