namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The cross entropy - sum over classes of q log softmax(logits) of each sample. For labels t,
    /// q = (1 - s) w_t [class = t] + s / C w_class with label smoothing s (Szegedy et al.: "Rethinking the Inception
    /// architecture", 2016) and class weights w; for probabilities t, q = (1 - s) t + s / C.
    /// </summary>
    /// <param name="logits">[N, C], [N, C, ...] with one sample per place, or [C].</param>
    /// <param name="targets">
    /// I64 labels of the logits' shape without the axis of classes, or probabilities of the logits' shape and type, through which
    /// a gradient flows too.
    /// </param>
    /// <param name="reduction">The mean divides by the samples, or by the sum of their labels' weights.</param>
    /// <param name="labelSmoothing">s, in 0 .. 1.</param>
    /// <param name="ignoreIndex">Samples with this label count nothing and get no gradient.</param>
    /// <param name="weight">w, [C], with labels only; null for 1. No gradient flows through it.</param>
    /// <returns>A scalar, or without reduction one value per sample.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a label is not 0 .. C - 1.</exception>
    public static Tensor CrossEntropy(
        Tensor logits,
        Tensor targets,
        Reduction reduction = Reduction.Mean,
        double labelSmoothing = 0,
        long ignoreIndex = -100,
        Tensor? weight = null)
    {
        const string op = "cross_entropy";
        var step = Step.Of(op, logits, targets);
        var rows = ClassTargets.RowShape(op, logits);
        int classes = logits.Shape[logits.Shape.Rank == 1 ? 0 : 1];
        if (labelSmoothing is not (>= 0 and <= 1))
            throw new ArgumentException($"{op}: label smoothing {labelSmoothing}, expected 0 .. 1");
        bool soft = targets.DType.IsFloat();
        Tensor? weights = null;
        if (soft)
        {
            Require.Shape(op, "target", targets, logits.Shape, logits);
            if (weight is not null)
                throw new ArgumentException($"{op}: class weights go with labels, not with probabilities");
        }
        else
        {
            Require.Shape(op, "weight", weight, [classes], logits);
            step.RefuseGradient($"{op} in its weight", weight);
            weight = weight is null ? null : Contiguous(weight);
            targets = Contiguous(targets);
            weights = ClassTargets.Weights(op, logits, targets, rows, weight, ignoreIndex);
        }

        logits = ClassTargets.Rows(logits);
        targets = soft ? ClassTargets.Rows(targets) : targets;
        var terms = new CrossEntropyTerms(rows.Count, classes, labelSmoothing, ignoreIndex);
        var loss = step.New(rows, logits.DType, op);
        var max = step.New(rows, logits.DType, op);
        var logSum = step.New(rows, logits.DType, op);
        CrossEntropyKernels.For(logits).Forward(logits, targets, weight, loss, max, logSum, terms);
        if (step.Tracks(logits, targets))
            step.Record(loss, new CrossEntropyNode(logits, targets, weight, max, logSum, terms), logits, targets);
        return weights is null ? Reduce(loss, reduction, rows.Count) : Reduce(loss, reduction, weights);
    }

    internal static readonly KernelTable<ICrossEntropyKernels> CrossEntropyKernels =
        new(new CrossEntropyReference(), new CrossEntropyCpu(), new Gpu.CrossEntropyGpu());

    /// <summary>With p = softmax(logits): dlogits = dy (p sum(q) - q); dtargets = - dy (1 - s) log p for probabilities.</summary>
    private sealed class CrossEntropyNode : Node
    {
        private readonly Tensor _logits;
        private readonly Tensor _targets;
        private readonly Tensor? _weight;
        private readonly Tensor _max;
        private readonly Tensor _logSum;
        private readonly CrossEntropyTerms _terms;

        public CrossEntropyNode(
            Tensor logits, Tensor targets, Tensor? weight, Tensor max, Tensor logSum, CrossEntropyTerms terms)
        {
            _logits = Save(logits);
            _targets = Save(targets);
            _weight = weight is null ? null : Save(weight);
            _max = Save(max);
            _logSum = Save(logSum);
            _terms = terms;
        }

        public override string Name => "cross_entropy";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Wants(0) ? into.Step.New(_logits.Shape, _logits.DType, Name) : null;
            var dtargets = into.Wants(1) ? into.Step.New(_targets.Shape, _targets.DType, Name) : null;
            CrossEntropyKernels.For(_logits).Backward(
                Contiguous(dy), _logits, _targets, _weight, _max, _logSum, dx, dtargets, _terms);
            if (dx is not null)
                into.Give(0, dx);
            if (dtargets is not null)
                into.Give(1, dtargets);
        }
    }
}

/// <summary>The numbers of a cross entropy.</summary>
internal readonly record struct CrossEntropyTerms(long Rows, int Classes, double Smoothing, long IgnoreIndex)
{
    /// <summary>The part of q that is the target.</summary>
    public double Certain => 1 - Smoothing;

    /// <summary>The part of q that every class has.</summary>
    public double Uniform => Smoothing / Classes;
}

/// <summary>
/// Kernels of <see cref="Op.CrossEntropy"/> on contiguous rows of classes, with targets I64 per row or probabilities per class.
/// The largest logit and the logarithm of sum exp(logit - largest) of each row are kept for the backward pass, apart, because
/// their sum would lose digits.
/// </summary>
internal interface ICrossEntropyKernels
{
    void Forward(Tensor x, Tensor targets, Tensor? weight, Tensor loss, Tensor max, Tensor logSum, CrossEntropyTerms terms);

    void Backward(
        Tensor dy,
        Tensor x,
        Tensor targets,
        Tensor? weight,
        Tensor max,
        Tensor logSum,
        Tensor? dx,
        Tensor? dtargets,
        CrossEntropyTerms terms);
}
