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
        bool relu = false) =>
        NormaliseBatch(x, weight, bias, runningMean, runningVar, training, momentum, eps, residual, relu, moments: null);

    /// <summary>As <see cref="BatchNorm"/>; in training, the moments of x may be known from the operation that made it.</summary>
    internal static Tensor NormaliseBatch(
        Tensor x, Tensor? weight, Tensor? bias, Tensor? runningMean, Tensor? runningVar, bool training, double momentum, double eps,
        Tensor? residual, bool relu, BatchMoments? moments)
    {
        const string op = "batch_norm";
        var step = Step.Of(op, x, weight, bias, residual);
        bool batch = training || runningMean is null;
        RequireNorm(op, step, x, weight, bias, runningMean, runningVar, batch);
        Require.Shape(op, "residual", residual, x.Shape, x);

        if (!x.Device.IsHost && (relu || residual is not null))
        {
            // The operations one by one: a GPU has no kernel that does more than the norm.
            var z = BatchNorm(x, weight, bias, runningMean, runningVar, training, momentum, eps);
            z = residual is null ? z : z + residual;
            return relu ? Relu(z) : z;
        }

        residual = residual is null ? null : Contiguous(residual);
        var y = step.New(x.Shape, x.DType, op);
        using var own = step.OwnScope();
        var norm = NormOf(step, op, Contiguous(x), weight, bias, batch, eps, relu, batch ? moments : null);
        if (!batch)
        {
            // Copies: the running tensors may change before the backward pass.
            Copy(runningMean!, norm.Mean, accumulate: false);
            Copy(runningVar!, norm.Variance, accumulate: false);
        }

        BatchNormKernels.For(x).Forward(norm, residual, y);
        if (training && runningMean is not null)
            UpdateRunning(runningMean, runningVar!, norm, momentum);

        if (step.Tracks(x, weight, bias, residual))
            step.Record(y, new BatchNormNode(norm, residual is not null, y), x, weight, bias, residual);
        return y;
    }

    internal static readonly KernelTable<IBatchNormKernels> BatchNormKernels =
        new(new BatchNormReference(), new BatchNormCpu(), new Gpu.BatchNormGpu());

    /// <summary>Checks what a norm is given.</summary>
    private static void RequireNorm(
        string op, Step step, Tensor x, Tensor? weight, Tensor? bias, Tensor? runningMean, Tensor? runningVar, bool batch)
    {
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
        if (batch && BatchNormExtent.Of(x).PerChannel == 1)
            throw new ArgumentException($"{op}: one value per channel in shape {x.Shape} has no variance; use a larger batch");
    }

    /// <summary>What an operation has to do to x that normalises as it reads; the running statistics are updated.</summary>
    internal static BatchNormInputs TakeNorm(Step step, string op, Tensor x, TrainingNorm norm, bool relu, BatchMoments moments)
    {
        RequireNorm(op, step, x, norm.Weight, norm.Bias, norm.RunningMean, norm.RunningVar, batch: true);
        var inputs = NormOf(step, op, Contiguous(x), norm.Weight, norm.Bias, batch: true, norm.Epsilon, relu, moments);
        UpdateRunning(norm.RunningMean, norm.RunningVar, inputs, norm.Momentum);
        return inputs;
    }

    /// <summary>What a norm of a contiguous x computes with; without moments, mean and variance are still to be written.</summary>
    private static BatchNormInputs NormOf(
        Step step, string op, Tensor x, Tensor? weight, Tensor? bias, bool batch, double eps, bool relu,
        BatchMoments? moments) => new()
        {
            X = x,
            Weight = weight is null ? null : Contiguous(weight),
            Bias = bias is null ? null : Contiguous(bias),
            Mean = moments?.Mean ?? step.New([x.Shape[1]], x.DType, op),
            Variance = moments?.Variance ?? step.New([x.Shape[1]], x.DType, op),
            Extent = BatchNormExtent.Of(x),
            Eps = eps,
            Batch = batch,
            IsKnown = moments is not null || !batch,
            Relu = relu,
        };

    private static void UpdateRunning(Tensor runningMean, Tensor runningVariance, BatchNormInputs norm, double momentum)
    {
        long count = norm.Extent.PerChannel;
        if (count == 0)
            return;
        double factor = count / (count - 1.0);
        if (norm.X.Device.IsHost)
        {
            UpdateRunning(runningMean, norm.Mean, momentum, 1);
            UpdateRunning(runningVariance, norm.Variance, momentum, factor);
        }
        else
        {
            Gpu.BatchNormGpu.UpdateRunning(runningMean, runningVariance, norm.Mean, norm.Variance, momentum, factor);
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

    /// <summary>The gradients of a norm's x, weight and bias, inputs 0 to 2 of a node that has kept the norm.</summary>
    /// <param name="norm">The norm.</param>
    /// <param name="dy">The gradient of its result.</param>
    /// <param name="y">The result, where there was a residual and a ReLU; otherwise null.</param>
    /// <param name="dz">With <paramref name="y"/>: where dy is written with zeros where y is 0; otherwise dy.</param>
    /// <param name="keepsDy">Whether dy or dz is read afterwards.</param>
    /// <param name="into">Where they go.</param>
    private static void NormGradients(BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, bool keepsDy, Gradients into)
    {
        // Over x rather than over dy: the thread that reads a channel of x has its lines for itself, while those of dy are still in
        // the caches of the threads that computed them.
        bool overInput = dy.Device.IsHost && into.MayWriteOver(norm.X);
        GradTarget? dx = !into.Wants(0) ? null
            : overInput ? into.Target(0, norm.X)
            : keepsDy ? into.Target(0)
            : into.Target(0, dy);
        GradTarget? dweight = into.Wants(1) ? into.Target(1) : null;
        GradTarget? dbias = into.Wants(2) ? into.Target(2) : null;
        BatchNormKernels.For(dy).Backward(norm, dy, y, dz, dx, dweight, dbias);
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
            norm.Keep(Save);
            _hasResidual = hasResidual;
            // Without a residual the sign of y is computed anew from x, which is read anyway.
            _y = norm.Relu && hasResidual ? Save(y) : null;
        }

        public override string Name => "batch_norm";

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var dz = _y is null || dy.IsExclusive ? dy : into.Step.New(dy.Shape, dy.DType, "batch_norm");
            NormGradients(_norm, dy, _y, dz, keepsDy: _hasResidual, into);
            if (_hasResidual)
                into.Give(3, dz);
        }
    }
}

/// <summary>A tensor seen as [samples, channels, plane].</summary>
internal readonly record struct BatchNormExtent(long Samples, long Channels, long Plane)
{
    /// <summary>That of [N, C, ...].</summary>
    public static BatchNormExtent Of(Tensor x) => new(x.Shape[0], x.Shape[1], x.Shape.CountOf(2, x.Shape.Rank));

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

    /// <summary>Whether mean and variance are there before the forward pass.</summary>
    public required bool IsKnown { get; init; }

    /// <summary>Whether negative results become 0.</summary>
    public required bool Relu { get; init; }

    /// <summary>1 / sqrt(variance + eps) of a channel, in single precision.</summary>
    public unsafe double RstdOf(long channel) => 1 / Math.Sqrt(Variance.Pointer<float>()[channel] + Eps);

    /// <summary>What a channel's deviations from the mean are multiplied by, in single precision.</summary>
    public unsafe double ScaleOf(long channel) => RstdOf(channel) * (Weight is null ? 1 : Weight.Pointer<float>()[channel]);

    /// <summary>What is added to that, in single precision.</summary>
    public unsafe float ShiftOf(long channel) => Bias is null ? 0 : Bias.Pointer<float>()[channel];

    /// <summary>The forward pass has run: from here on all tensors are a node's.</summary>
    public void Keep(Func<Tensor, Tensor> save)
    {
        (X, Mean, Variance) = (save(X), save(Mean), save(Variance));
        Weight = Weight is null ? null : save(Weight);
        Bias = Bias is null ? null : save(Bias);
    }
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
