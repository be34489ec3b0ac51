namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// A convolution without bias and the batch norm behind it, in training: batch_norm(conv2d(x, weight)). The CPU takes the batch's
    /// statistics as the convolution's sums leave its cache.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="weight">[O, C / groups, kh, kw].</param>
    /// <param name="norm">Behind the convolution.</param>
    /// <param name="relu">Whether negative results of the norm become 0.</param>
    /// <param name="stride">Pixels from one window to the next; 1 when null.</param>
    /// <param name="padding">Zeros around the image on each side; 0 when null.</param>
    /// <param name="groups">Output channels of one group see the input channels of that group only.</param>
    /// <returns>[N, O, OH, OW], to be read once.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a kernel larger than the padded image.</exception>
    public static DeferredNorm Conv2dBatchNorm(
        Tensor x, Tensor weight, TrainingNorm norm, bool relu = false, Pair? stride = null, Pair? padding = null, int groups = 1)
    {
        const string op = "conv2d_batch_norm";
        var step = Step.Of(op, x, weight);
        var geometry = Conv2dGeometry.Of(op, x, weight, null, stride ?? 1, padding ?? 0, 1, groups);
        if (geometry.SkipsPixels && IsForCpu(x))
            return Conv2dBatchNorm(PixelsRead(geometry, x), weight, norm, relu, groups: groups);
        if (!IsForCpu(x) || geometry.IsOnePixel || geometry.TakesPatches)
            return new DeferredNorm(Conv2d(x, weight, null, stride, padding, 1, groups), norm, relu, moments: null);

        (x, weight) = (Contiguous(x), Contiguous(weight));
        var (y, moments) = ConvolveTaking(step, geometry, x, null, weight);
        if (step.Tracks(x, weight))
            step.Record(y, new Conv2dNode(geometry, x, weight, hasBias: false), x, weight);
        return new DeferredNorm(y, norm, relu, moments);
    }

    /// <summary>
    /// As the one of a tensor, of a norm's result. A convolution of the CPU that copies its input, as those of few channels in a group do,
    /// normalises as it copies.
    /// </summary>
    /// <inheritdoc cref="Conv2dBatchNorm(Tensor, Tensor, TrainingNorm, bool, Pair?, Pair?, int)"/>
    public static DeferredNorm Conv2dBatchNorm(
        DeferredNorm x, Tensor weight, TrainingNorm norm, bool relu = false, Pair? stride = null, Pair? padding = null, int groups = 1)
    {
        const string op = "conv2d_batch_norm";
        var step = Step.Of(op, x.X, weight);
        var geometry = Conv2dGeometry.Of(op, x.X, weight, null, stride ?? 1, padding ?? 0, 1, groups);
        if (!IsForCpu(x.X) || !x.IsKnown || !Conv2dCpu.TakesNorm(geometry))
            return Conv2dBatchNorm(x.ToTensor(), weight, norm, relu, stride, padding, groups);

        weight = Contiguous(weight);
        var before = x.Take(step, op);
        var (inputs, scales, shifts) = (before.X, before.Weight, before.Bias);
        var (y, moments) = ConvolveTaking(step, geometry, inputs, before, weight);
        if (step.Tracks(inputs, scales, shifts, weight))
            step.Record(y, new NormedConv2dNode(geometry, before, weight), inputs, scales, shifts, weight);
        return new DeferredNorm(y, norm, relu, moments);
    }

    /// <summary>y = conv(x, w), or conv(norm(x), w), and the moments of y if this convolution takes them.</summary>
    private static (Tensor Y, BatchMoments? Moments) ConvolveTaking(
        Step step, Conv2dGeometry geometry, Tensor x, BatchNormInputs? norm, Tensor weight)
    {
        var y = step.New(geometry.Output, x.DType, "conv2d");
        var moments = !Conv2dCpu.TakesMoments(geometry) ? null
            : new BatchMoments(step.New([geometry.O], x.DType, "conv2d"), step.New([geometry.O], x.DType, "conv2d"));
        if (step.Device.Computes)
            Conv2dCpu.Forward(geometry, x, norm, weight, y, moments);
        return (y, moments);
    }

    /// <summary>A convolution that normalises its input as it reads it: inputs x, the norm's weight and bias, and the kernel.</summary>
    private sealed class NormedConv2dNode : Node
    {
        private readonly Conv2dGeometry _geometry;
        private readonly BatchNormInputs _norm;
        private readonly Tensor _weight;

        public NormedConv2dNode(Conv2dGeometry geometry, BatchNormInputs norm, Tensor weight)
        {
            (_geometry, _norm, _weight) = (geometry, norm, Save(weight));
            norm.Keep(Save);
        }

        public override string Name => "normed_conv2d";

        public override long MultiplyAdds => _geometry.MultiplyAdds;

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            if (into.Wants(3))
            {
                var (dw, accumulate) = into.Target(3);
                Conv2dCpu.WeightGradient(_geometry, _norm, dy, dw, accumulate);
            }

            if (!into.Wants(0) && !into.Wants(1) && !into.Wants(2))
                return;
            var dz = into.Step.New(_norm.X.Shape, dy.DType, Name);
            Conv2dKernels.For(dy).InputGradient(_geometry, dy, _weight, dz, accumulate: false);
            NormGradients(_norm, dz, y: null, dz, keepsDy: false, into);
        }
    }
}
