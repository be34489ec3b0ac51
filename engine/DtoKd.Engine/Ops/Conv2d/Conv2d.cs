using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Two-dimensional convolution (cross-correlation):
    /// y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, g C/groups + c, i s - p + a d, j s - p + b d],
    /// with g the group of o, and zeros outside the image.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="weight">[O, C / groups, kh, kw].</param>
    /// <param name="bias">[O], or null.</param>
    /// <param name="stride">Pixels from one window to the next (s); 1 when null.</param>
    /// <param name="padding">Zeros around the image (p) on each side; 0 when null.</param>
    /// <param name="dilation">Pixels from one element of the window to the next (d); 1 when null.</param>
    /// <param name="groups">Output channels of one group see the input channels of that group only; C groups: depthwise.</param>
    /// <returns>[N, O, OH, OW] with OH = (H + 2p - d (kh - 1) - 1) / s + 1, rounded down.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a kernel larger than the padded image.</exception>
    public static Tensor Conv2d(
        Tensor x,
        Tensor weight,
        Tensor? bias = null,
        Pair? stride = null,
        Pair? padding = null,
        Pair? dilation = null,
        int groups = 1)
    {
        var step = Step.Of("conv2d", x, weight, bias);
        var geometry = Conv2dGeometry.Of("conv2d", x, weight, bias, stride ?? 1, padding ?? 0, dilation ?? 1, groups);
        if (geometry.IsOnePixel)
        {
            using var own = step.OwnScope();
            var y1 = Linear(Reshape(x, [geometry.N, geometry.C]), Reshape(step.Use(weight), [geometry.O, geometry.C]), bias);
            return own.Return(Reshape(y1, geometry.Output));
        }

        if (geometry.TakesPatches && Conv2dKernels.For(x) is Conv2dCpu)
            return Conv2dOfPatches(geometry, x, step.Use(weight), bias);
        if (geometry.SkipsPixels && IsForCpu(x))
        {
            using var own = step.OwnScope();
            return own.Return(Conv2d(PixelsRead(geometry, x), weight, bias, groups: groups));
        }

        (x, weight, bias) = (Contiguous(x), Contiguous(weight), bias is null ? null : Contiguous(bias));
        var y = step.New(geometry.Output, x.DType, "conv2d");
        Conv2dKernels.For(x).Forward(geometry, x, weight, bias, y, accumulate: false);
        if (step.Tracks(x, weight, bias))
            step.Record(y, new Conv2dNode(geometry, x, weight, bias is not null), x, weight, bias);
        return y;
    }

    /// <summary>
    /// A convolution whose windows tile the image: one linear layer over them. The result is a view whose channels lie side by side,
    /// as the tokens that patches mostly become.
    /// </summary>
    private static Tensor Conv2dOfPatches(Conv2dGeometry g, Tensor x, Tensor weight, Tensor? bias)
    {
        var windows = Reshape(x, [g.N, g.C, g.OH, g.Kernel.Height, g.OW, g.Kernel.Width]);
        var patches = Reshape(Permute(windows, 0, 2, 4, 1, 3, 5), [g.N * g.OH * g.OW, g.C * g.KernelArea]);
        var y = Linear(patches, Reshape(weight, [g.O, g.C * g.KernelArea]), bias);
        return Permute(Reshape(y, [g.N, g.OH, g.OW, g.O]), 0, 3, 1, 2);
    }

    /// <summary>
    /// The pixels that a convolution of the CPU reads which passes over others: a convolution of stride 1 is left. The gradient of its
    /// weight reads them again.
    /// </summary>
    private static Tensor PixelsRead(Conv2dGeometry g, Tensor x)
    {
        var step = Step.Of("conv2d", x);
        var pixels = step.New([g.N, g.C, g.OH, g.OW], x.DType, "conv2d");
        if (step.Device.Computes)
            ConvSubsample.Gather(g, Contiguous(x), pixels);
        if (step.Tracks(x))
            step.Record(pixels, new PixelsReadNode(g), x);
        return pixels;
    }

    /// <summary>Whether the CPU's kernels compute with x, or would on a device that plans.</summary>
    private static bool IsForCpu(Tensor x) => x.Device.IsHost && x.DType == DType.F32;

    internal static readonly KernelTable<IConv2dKernels> Conv2dKernels = new(new Conv2dReference(), new Conv2dCpu(), new Gpu.Conv2dGpu());

    /// <summary>The gradient of a bias per channel: the sum over images and pixels of dy [N, O, OH, OW].</summary>
    private static Tensor SumToChannels(Tensor dy) =>
        Sum(Sum(Reshape(dy, [dy.Shape[0], dy.Shape[1], dy.Shape[2] * dy.Shape[3]]), [2]), [0]);

    private sealed class PixelsReadNode(Conv2dGeometry geometry) : Node
    {
        public override string Name => "conv2d";

        public override void Backward(Tensor dy, Gradients into)
        {
            var (dx, accumulate) = into.Target(0);
            ConvSubsample.Spread(geometry, Contiguous(dy), dx, accumulate);
        }
    }

    private sealed class Conv2dNode : Node
    {
        private readonly Conv2dGeometry _geometry;
        private readonly Tensor _x;
        private readonly Tensor _weight;
        private readonly bool _hasBias;

        public Conv2dNode(Conv2dGeometry geometry, Tensor x, Tensor weight, bool hasBias)
        {
            _geometry = geometry;
            _x = Save(x);
            _weight = Save(weight);
            _hasBias = hasBias;
        }

        public override string Name => "conv2d";

        public override long MultiplyAdds => _geometry.MultiplyAdds;

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var kernels = Conv2dKernels.For(dy);
            if (into.Wants(0))
            {
                var (dx, accumulate) = into.Target(0);
                kernels.InputGradient(_geometry, dy, _weight, dx, accumulate);
            }

            if (into.Wants(1))
            {
                var (dw, accumulate) = into.Target(1);
                kernels.WeightGradient(_geometry, _x, dy, dw, accumulate);
            }

            if (_hasBias && into.Wants(2))
                into.Give(2, SumToChannels(dy));
        }
    }
}

/// <summary>
/// Kernels of <see cref="Op.Conv2d"/>: the product that is linear in x and in the weight, and its two transposes. All tensors
/// are contiguous; with <c>accumulate</c> the result is added to what its tensor holds.
/// </summary>
internal interface IConv2dKernels
{
    /// <summary>y = conv(x, w) + bias.</summary>
    void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate);

    /// <summary>dx: each product of the sum that makes y, sent back to its x.</summary>
    void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate);

    /// <summary>dw: each product of the sum that makes y, sent back to its weight.</summary>
    void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate);
}
