namespace DtoKd.Engine.Gpu;

/// <summary>
/// Convolutions as products of matrices that are never written down: channels by pixels, with an inner axis of window elements
/// and channels whose pixels are found as they are read (Chetlur et al.: "cuDNN: Efficient primitives for deep learning", 2014,
/// section 3). One kernel makes y and, phase by phase, dx.
/// </summary>
/// <param name="tile">The rows of the tiles in which it multiplies; by the shape when null.</param>
/// <param name="precision">How it multiplies; as the device says, where the work is worth it, when null.</param>
internal sealed class Conv2dGpu(int? tile = null, MatmulPrecision? precision = null) : IConv2dKernels, IConv2dNormKernels
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

    public bool TakesGate(Conv2dGeometry geometry) => false;

    public void Forward(
        Conv2dGeometry geometry, Tensor x, Tensor? gate, Tensor w, FixedNorm norm, Tensor? residual, bool relu, Tensor y)
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
        var order = new ConvOrder(geometry, rowsAreOutputs: false);
        using var source = ConvSource.Of(dy, geometry.Groups, PrecisionFor(geometry, order.Rows, dy.Count, (GpuDevice)dy.Device));
        for (int row = 0; row < Math.Min(stride.Height, geometry.H); row++)
        {
            for (int column = 0; column < Math.Min(stride.Width, geometry.W); column++)
            {
                var down = ConvPhase.Backward(row, geometry.H, kernel.Height, stride.Height, padding.Height, dilation.Height);
                var across = ConvPhase.Backward(column, geometry.W, kernel.Width, stride.Width, padding.Width, dilation.Width);
                if (order.Depth * down.Taps * across.Taps > 0 || !accumulate)
                    new ConvLaunch(source, down, across, order, tile).Run(w, new() { Accumulate = accumulate }, dx);
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
        {
            DepthwiseConvGpu.WeightGradient(geometry, x, dy, dw, accumulate);
            return;
        }

        long windows = (long)geometry.N * geometry.OH * geometry.OW * geometry.C * geometry.KernelArea;
        switch (PrecisionFor(geometry, geometry.GroupO, dy.Count + windows, (GpuDevice)x.Device))
        {
            case MatmulPrecision.Highest:
                ConvWeightGradientGpu.Run(geometry, x, dy, dw, accumulate, tile);
                break;
            case MatmulPrecision.High:
                ConvTensorWeightGradient.Run<RoundedTf32>(geometry, x, dy, dw, accumulate, tile);
                break;
            default:
                ConvTensorWeightGradient.Run<Bf16>(geometry, x, dy, dw, accumulate, tile);
                break;
        }
    }

    private void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, ConvEpilogue epilogue, Tensor y)
    {
        var (kernel, stride, padding, dilation) = (geometry.Kernel, geometry.Stride, geometry.Padding, geometry.Dilation);
        var down = ConvPhase.Forward(geometry.OH, kernel.Height, stride.Height, padding.Height, dilation.Height);
        var across = ConvPhase.Forward(geometry.OW, kernel.Width, stride.Width, padding.Width, dilation.Width);
        var order = new ConvOrder(geometry, rowsAreOutputs: true);
        using var source = ConvSource.Of(x, geometry.Groups, PrecisionFor(geometry, order.Rows, x.Count, (GpuDevice)x.Device));
        new ConvLaunch(source, down, across, order, tile).Run(w, epilogue, y);
    }

    /// <summary>How a product is computed.</summary>
    /// <param name="geometry">The convolution.</param>
    /// <param name="rows">Rows of a group's product.</param>
    /// <param name="packed">Numbers that the tensor cores need packed.</param>
    /// <param name="device">Whose precision it is, where that is worth it.</param>
    internal MatmulPrecision PrecisionFor(Conv2dGeometry geometry, int rows, long packed, GpuDevice device)
    {
        // Fewer rows leave most of a tile empty; less work for a number takes less time than packing it; and less work in all is
        // a matter of launches.
        const int LeastRows = 32;
        const long LeastEach = 96, LeastWork = 1 << 24;
        if (packed == 0)
            return MatmulPrecision.Highest;
        bool isTensor = rows >= LeastRows && geometry.MultiplyAdds >= Math.Max(LeastWork, LeastEach * packed);
        return precision ?? (isTensor ? device.MatmulPrecision : MatmulPrecision.Highest);
    }
}
