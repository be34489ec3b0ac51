namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axes, with mean and biased variance of each row
    /// (Ba, Kiros, Hinton: "Layer normalization", 2016).
    /// </summary>
    /// <param name="x">[..., n] floats; with <paramref name="axes"/> = k, a row is the last k axes together.</param>
    /// <param name="weight">Of the shape of the normalised axes; null for 1.</param>
    /// <param name="bias">Of the shape of the normalised axes; null for 0.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="axes">How many of the last axes to normalise over.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">Weight or bias of another shape, or x has fewer axes.</exception>
    public static Tensor LayerNorm(Tensor x, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5, int axes = 1)
    {
        const string op = "layer_norm";
        var step = Step.Of(op, x, weight, bias);
        Pointwise.RequireFloat(op, x);
        if (axes < 1 || axes > x.Shape.Rank)
            throw new ArgumentException($"{op}: cannot normalise over the last {axes} axes of shape {x.Shape}");
        int first = x.Shape.Rank - axes;
        Span<int> sizes = stackalloc int[x.Shape.Rank];
        x.Shape.CopyTo(sizes);
        var normalised = new Shape(sizes[first..]);
        Require.Shape(op, "weight", weight, normalised, x);
        Require.Shape(op, "bias", bias, normalised, x);
        x = Contiguous(x);
        weight = weight is null ? null : Contiguous(weight);
        bias = bias is null ? null : Contiguous(bias);

        long rows = x.Shape.CountOf(0, first);
        var y = step.New(x.Shape, x.DType, op);
        using var own = step.OwnScope();
        var mean = step.New([checked((int)rows)], x.DType, op);
        var rstd = step.New(mean.Shape, x.DType, op);
        LayerNormKernels.For(x).Forward(x, weight, bias, y, mean, rstd, rows, normalised.Count, eps);
        if (step.Tracks(x, weight, bias))
            step.Record(y, new LayerNormNode(x, weight, mean, rstd, rows, normalised.Count), x, weight, bias);
        return y;
    }

    internal static readonly KernelTable<ILayerNormKernels> LayerNormKernels =
        new(new LayerNormReference(), new LayerNormCpu(), new Gpu.LayerNormGpu());

    /// <summary>
    /// With h = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - h mean(g h)), dweight = sum over rows of dy h,
    /// dbias = sum over rows of dy.
    /// </summary>
    private sealed class LayerNormNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor? _weight;
        private readonly Tensor _mean;
        private readonly Tensor _rstd;
        private readonly long _rows;
        private readonly long _length;

        public LayerNormNode(Tensor x, Tensor? weight, Tensor mean, Tensor rstd, long rows, long length)
        {
            _x = Save(x);
            _weight = weight is null ? null : Save(weight);
            _mean = Save(mean);
            _rstd = Save(rstd);
            (_rows, _length) = (rows, length);
        }

        public override string Name => "layer_norm";

        public override void Backward(Tensor dy, Gradients into)
        {
            GradTarget? dx = into.Wants(0) ? into.Target(0) : null;
            GradTarget? dweight = into.Wants(1) ? into.Target(1) : null;
            GradTarget? dbias = into.Wants(2) ? into.Target(2) : null;
            LayerNormKernels.For(dy).Backward(
                into.Step, Contiguous(dy), _x, _weight, _mean, _rstd, dx, dweight, dbias, _rows, _length);
        }
    }
}

/// <summary>Kernels of <see cref="Op.LayerNorm"/> on contiguous rows. Mean and rstd are of shape [rows].</summary>
internal interface ILayerNormKernels
{
    void Forward(
        Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor mean, Tensor rstd, long rows, long length, double eps);

    /// <summary>Writes or adds the gradients that are wanted: dx first, then those of weight and bias.</summary>
    void Backward(
        Step step,
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor rstd,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        long rows,
        long length);
}
