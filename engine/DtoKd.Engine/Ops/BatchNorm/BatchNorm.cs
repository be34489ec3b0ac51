namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// y = (x - mean) / sqrt(variance + eps) * weight + bias for each channel (Ioffe, Szegedy: "Batch normalization", 2015). In
    /// training, mean and biased variance are those of the batch, and the running tensors are updated in place:
    /// running = (1 - momentum) running + momentum batch, with the unbiased variance. Otherwise the running tensors are used.
    /// What a network's layer does next can be had in the same pass: y = relu(that + residual).
    /// </summary>
    /// <param name="x">[N, C, ...] floats.</param>
    /// <param name="weight">[C]; null for 1.</param>
    /// <param name="bias">[C]; null for 0.</param>
    /// <param name="runningMean">[C], outside any tape; null to use the batch's statistics always.</param>
    /// <param name="runningVar">[C], outside any tape; null exactly if the mean is.</param>
    /// <param name="training">Whether to use the batch's statistics and to update the running ones.</param>
    /// <param name="momentum">The share of the new batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="residual">A tensor of x's shape, added to the normalised one; null for none.</param>
    /// <param name="relu">Whether negative results become 0, with a derivative of 0 there.</param>
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
        double eps = 1e-5,
        Tensor? residual = null,
        bool relu = false)
    {
        const string op = "batch_norm";
        var step = Step.Of(op, x, weight, bias, residual);
        Pointwise.RequireFloat(op, x);
        if (x.Shape.Rank < 2)
            throw new ArgumentException($"{op}: needs [N, C, ...], got shape {x.Shape}");
        var channels = new Shape(x.Shape[1]);
        Require.Shape(op, "weight", weight, channels, x);
        Require.Shape(op, "bias", bias, channels, x);
        Require.Shape(op, "running mean", runningMean, channels, x);
        Require.Shape(op, "running variance", runningVar, channels, x);
        Require.Shape(op, "residual", residual, x.Shape, x);
        if (runningMean is null != runningVar is null)
            throw new ArgumentException($"{op}: running mean and running variance go together");
        if (runningMean is { IsContiguous: false } || runningVar is { IsContiguous: false })
            throw new ArgumentException($"{op}: running mean and variance must be contiguous, they are updated in place");
        step.RefuseGradient($"{op} in its running statistics", runningMean, runningVar);
        bool batch = training || runningMean is null;
        var extent = new BatchNormExtent(x.Shape[0], x.Shape[1], x.Shape.CountOf(2, x.Shape.Rank));
        if (batch && extent.PerChannel == 1)
            throw new ArgumentException($"{op}: one value per channel in shape {x.Shape} has no variance; use a larger batch");

        if (!x.Device.IsHost && (relu || residual is not null))
        {
            // The operations one by one: a GPU has no kernel that does more than the norm.
            var z = BatchNorm(x, weight, bias, runningMean, runningVar, training, momentum, eps);
            z = residual is null ? z : z + residual;
            return relu ? Relu(z) : z;
        }

        x = Contiguous(x);
        weight = weight is null ? null : Contiguous(weight);
        bias = bias is null ? null : Contiguous(bias);
        residual = residual is null ? null : Contiguous(residual);
        var y = step.New(x.Shape, x.DType, op);
        using var own = step.OwnScope();
        Tensor mean = step.New(channels, x.DType, op), variance = step.New(channels, x.DType, op);
        var norm = new BatchNormInputs
        {
            X = x,
            Weight = weight,
            Bias = bias,
            Mean = mean,
            Variance = variance,
            Extent = extent,
            Eps = eps,
            Batch = batch,
            Relu = relu,
        };
        if (!batch)
        {
            // Copies: the running tensors may change before the backward pass.
            Copy(runningMean!, mean, accumulate: false);
            Copy(runningVar!, variance, accumulate: false);
        }

        BatchNormKernels.For(x).Forward(norm, residual, y);
        if (training && runningMean is not null && extent.PerChannel > 0)
            UpdateRunning(runningMean, runningVar!, mean, variance, momentum, extent.PerChannel / (extent.PerChannel - 1.0));

        if (step.Tracks(x, weight, bias, residual))
            step.Record(y, new BatchNormNode(norm, residual is not null, y), x, weight, bias, residual);
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
    /// With h = (x - mean) rstd and dz = dy, or 0 where a ReLU gave 0: dweight = sum of dz h, dbias = sum of dz,
    /// dresidual = dz; dx = rstd weight (dz - mean(dz) - h mean(dz h)) with the batch's statistics, dx = rstd weight dz with
    /// fixed ones.
    /// </summary>
    private sealed class BatchNormNode : Node
    {
        private readonly BatchNormInputs _norm;
        private readonly bool _hasResidual;
        private readonly Tensor? _y;

        public BatchNormNode(BatchNormInputs norm, bool hasResidual, Tensor y)
        {
            // The forward pass has run: from here on the inputs are the node's.
            _norm = norm;
            (norm.X, norm.Mean, norm.Variance) = (Save(norm.X), Save(norm.Mean), Save(norm.Variance));
            norm.Weight = norm.Weight is null ? null : Save(norm.Weight);
            norm.Bias = norm.Bias is null || !norm.Relu ? null : Save(norm.Bias);
            _hasResidual = hasResidual;
            // Without a residual the sign of y is computed anew from x, which is read anyway.
            _y = norm.Relu && hasResidual ? Save(y) : null;
        }

        public override string Name => "batch_norm";

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var dz = _y is null || dy.IsExclusive ? dy : into.Step.New(dy.Shape, dy.DType, "batch_norm");
            // Over x rather than over dy: the thread that reads a channel of x has its lines for itself, while those of dy are still in
            // the caches of the threads that computed them.
            bool overInput = dy.Device.IsHost && into.MayWriteOver(_norm.X);
            GradTarget? dx = !into.Wants(0) ? null
                : overInput ? into.Target(0, _norm.X)
                : _hasResidual ? into.Target(0)
                : into.Target(0, dy);
            GradTarget? dweight = into.Wants(1) ? into.Target(1) : null;
            GradTarget? dbias = into.Wants(2) ? into.Target(2) : null;
            BatchNormKernels.For(dy).Backward(_norm, dy, _y, dz, dx, dweight, dbias);
            if (_hasResidual)
                into.Give(3, dz);
        }
    }
}

/// <summary>A tensor seen as [samples, channels, plane].</summary>
internal readonly record struct BatchNormExtent(long Samples, long Channels, long Plane)
{
    /// <summary>The number of values that share a mean.</summary>
    public long PerChannel => Samples * Plane;
}

/// <summary>What a batch norm computes with; all tensors are contiguous.</summary>
internal sealed class BatchNormInputs
{
    /// <summary>The input.</summary>
    public required Tensor X { get; set; }

    /// <summary>[C], or null for 1.</summary>
    public Tensor? Weight { get; set; }

    /// <summary>[C], or null for 0.</summary>
    public Tensor? Bias { get; set; }

    /// <summary>[C]; with the batch's statistics, made by the forward pass.</summary>
    public required Tensor Mean { get; set; }

    /// <summary>[C], biased; likewise.</summary>
    public required Tensor Variance { get; set; }

    /// <summary>The input's shape.</summary>
    public required BatchNormExtent Extent { get; init; }

    /// <summary>Added to the variance.</summary>
    public required double Eps { get; init; }

    /// <summary>Whether mean and variance are the batch's.</summary>
    public required bool Batch { get; init; }

    /// <summary>Whether negative results become 0.</summary>
    public required bool Relu { get; init; }
}

/// <summary>Kernels of <see cref="Op.BatchNorm"/>. Away from the host there is neither a residual nor a ReLU.</summary>
internal interface IBatchNormKernels
{
    /// <summary>Mean and variance if they are the batch's, then y.</summary>
    void Forward(BatchNormInputs norm, Tensor? residual, Tensor y);

    /// <summary>Writes or adds the gradients that are wanted, dx before those of weight and bias.</summary>
    /// <param name="norm">As in the forward pass.</param>
    /// <param name="dy">The gradient of the result.</param>
    /// <param name="y">The result, where there was a residual and a ReLU; otherwise null.</param>
    /// <param name="dz">With <paramref name="y"/>: where dy is written with zeros where y is 0; may be dy itself.</param>
    /// <param name="dx">The gradient of x; may be dy or, on the host, x.</param>
    /// <param name="dweight">The gradient of the weight.</param>
    /// <param name="dbias">The gradient of the bias.</param>
    void Backward(
        BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, GradTarget? dx, GradTarget? dweight, GradTarget? dbias);
}
