namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// y = (x - mean) / sqrt(variance + eps) * weight + bias for each channel (Ioffe, Szegedy: "Batch normalization", 2015). In
    /// training, mean and biased variance are those of the batch, and the running tensors are updated in place:
    /// running = (1 - momentum) running + momentum batch, with the unbiased variance. Otherwise the running tensors are used.
    /// </summary>
    /// <param name="x">[N, C, ...] floats.</param>
    /// <param name="weight">[C]; null for 1.</param>
    /// <param name="bias">[C]; null for 0.</param>
    /// <param name="runningMean">[C], outside any tape; null to use the batch's statistics always.</param>
    /// <param name="runningVar">[C], outside any tape; null exactly if the mean is.</param>
    /// <param name="training">Whether to use the batch's statistics and to update the running ones.</param>
    /// <param name="momentum">The share of the new batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or the batch has one value per channel only.</exception>
    public static Tensor BatchNorm(
        Tensor x,
        Tensor? weight,
        Tensor? bias,
        Tensor? runningMean,
        Tensor? runningVar,
        bool training,
        double momentum = 0.1,
        double eps = 1e-5)
    {
        const string op = "batch_norm";
        var step = Step.Of(op, x, weight, bias);
        Pointwise.RequireFloat(op, x);
        if (x.Shape.Rank < 2)
            throw new ArgumentException($"{op}: needs [N, C, ...], got shape {x.Shape}");
        var channels = new Shape(x.Shape[1]);
        Require.Shape(op, "weight", weight, channels, x);
        Require.Shape(op, "bias", bias, channels, x);
        Require.Shape(op, "running mean", runningMean, channels, x);
        Require.Shape(op, "running variance", runningVar, channels, x);
        if (runningMean is null != runningVar is null)
            throw new ArgumentException($"{op}: running mean and running variance go together");
        if (runningMean is { IsContiguous: false } || runningVar is { IsContiguous: false })
            throw new ArgumentException($"{op}: running mean and variance must be contiguous, they are updated in place");
        step.RefuseGradient($"{op} in its running statistics", runningMean, runningVar);
        bool batch = training || runningMean is null;
        var extent = new BatchNormExtent(x.Shape[0], x.Shape[1], x.Shape.CountOf(2, x.Shape.Rank));
        if (batch && extent.PerChannel == 1)
            throw new ArgumentException($"{op}: one value per channel in shape {x.Shape} has no variance; use a larger batch");

        x = Contiguous(x);
        weight = weight is null ? null : Contiguous(weight);
        bias = bias is null ? null : Contiguous(bias);
        var y = step.New(x.Shape, x.DType, op);
        var mean = step.New(channels, x.DType, op);
        var variance = step.New(channels, x.DType, op);
        if (batch)
        {
            BatchNormKernels.For(x).Statistics(x, mean, variance, extent);
            if (training && runningMean is not null && extent.PerChannel > 0)
                UpdateRunning(runningMean, runningVar!, mean, variance, momentum, extent.PerChannel / (extent.PerChannel - 1.0));
        }
        else
        {
            // Copies: the running tensors may change before the backward pass.
            Copy(runningMean!, mean, accumulate: false);
            Copy(runningVar!, variance, accumulate: false);
        }

        BatchNormKernels.For(x).Normalise(x, weight, bias, mean, variance, y, extent, eps);
        if (step.Tracks(x, weight, bias))
            step.Record(y, new BatchNormNode(x, weight, mean, variance, extent, eps, batch), x, weight, bias);
        return y;
    }

    internal static readonly KernelTable<IBatchNormKernels> BatchNormKernels =
        new(new BatchNormReference(), new BatchNormCpu(), new Gpu.BatchNormGpu());

    private static void UpdateRunning(
        Tensor runningMean, Tensor runningVariance, Tensor mean, Tensor variance, double momentum, double factor)
    {
        if (mean.Device.IsHost)
        {
            UpdateRunning(runningMean, mean, momentum, 1);
            UpdateRunning(runningVariance, variance, momentum, factor);
        }
        else
        {
            Gpu.BatchNormGpu.UpdateRunning(runningMean, runningVariance, mean, variance, momentum, factor);
        }
    }

    // Some thousand numbers at most: one thread.
    private static void UpdateRunning(Tensor running, Tensor batch, double momentum, double factor)
    {
        if (running.DType == DType.F64)
        {
            Span<double> to = running.Span<double>(), from = batch.Span<double>();
            for (int i = 0; i < to.Length; i++)
                to[i] = ((1 - momentum) * to[i]) + (momentum * factor * from[i]);
        }
        else
        {
            Span<float> to = running.Span<float>(), from = batch.Span<float>();
            for (int i = 0; i < to.Length; i++)
                to[i] = (float)(((1 - momentum) * to[i]) + (momentum * factor * from[i]));
        }
    }

    /// <summary>
    /// With h = (x - mean) rstd: dweight = sum of dy h, dbias = sum of dy;
    /// dx = rstd weight (dy - mean(dy) - h mean(dy h)) with the batch's statistics, dx = rstd weight dy with fixed ones.
    /// </summary>
    private sealed class BatchNormNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor? _weight;
        private readonly Tensor _mean;
        private readonly Tensor _variance;
        private readonly BatchNormExtent _extent;
        private readonly double _eps;
        private readonly bool _batch;

        public BatchNormNode(
            Tensor x, Tensor? weight, Tensor mean, Tensor variance, BatchNormExtent extent, double eps, bool batch)
        {
            _x = Save(x);
            _weight = weight is null ? null : Save(weight);
            _mean = Save(mean);
            _variance = Save(variance);
            _extent = extent;
            _eps = eps;
            _batch = batch;
        }

        public override string Name => "batch_norm";

        public override void Backward(Tensor dy, Gradients into)
        {
            GradTarget? dx = into.Wants(0) ? into.Target(0) : null;
            GradTarget? dweight = into.Wants(1) ? into.Target(1) : null;
            GradTarget? dbias = into.Wants(2) ? into.Target(2) : null;
            BatchNormKernels.For(dy).Backward(
                Contiguous(dy), _x, _weight, _mean, _variance, dx, dweight, dbias, _extent, _eps, _batch);
        }
    }
}

/// <summary>A tensor seen as [samples, channels, plane].</summary>
internal readonly record struct BatchNormExtent(long Samples, long Channels, long Plane)
{
    /// <summary>The number of values that share a mean.</summary>
    public long PerChannel => Samples * Plane;
}

/// <summary>Kernels of <see cref="Op.BatchNorm"/> on contiguous tensors.</summary>
internal interface IBatchNormKernels
{
    /// <summary>Mean and biased variance of each channel.</summary>
    void Statistics(Tensor x, Tensor mean, Tensor variance, BatchNormExtent extent);

    void Normalise(
        Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor variance, Tensor y, BatchNormExtent extent, double eps);

    /// <summary>Writes or adds the gradients that are wanted, dx before those of weight and bias.</summary>
    void Backward(
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor variance,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        BatchNormExtent extent,
        double eps,
        bool batch);
}
