using System.Numerics;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// - w_t logProbabilities[t] of each sample with label t: with <see cref="LogSoftmax"/> the same as
    /// <see cref="CrossEntropy"/>, which computes both at once.
    /// </summary>
    /// <param name="logProbabilities">[N, C], [N, C, ...] with one sample per place, or [C].</param>
    /// <param name="targets">I64 labels, of that shape without the axis of classes.</param>
    /// <param name="reduction">The mean divides by the sum of the labels' weights.</param>
    /// <param name="ignoreIndex">Samples with this label count nothing and get no gradient.</param>
    /// <param name="weight">w, [C]; null for 1. No gradient flows through it.</param>
    /// <returns>A scalar, or without reduction one value per sample.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a label is not 0 .. C - 1.</exception>
    public static Tensor NllLoss(
        Tensor logProbabilities,
        Tensor targets,
        Reduction reduction = Reduction.Mean,
        long ignoreIndex = -100,
        Tensor? weight = null)
    {
        const string op = "nll_loss";
        var step = Step.Of(op, logProbabilities, targets);
        var rows = ClassTargets.RowShape(op, logProbabilities);
        int classes = logProbabilities.Shape[logProbabilities.Shape.Rank == 1 ? 0 : 1];
        Require.Shape(op, "weight", weight, [classes], logProbabilities);
        step.RefuseGradient($"{op} in its weight", weight);
        weight = weight is null ? null : Contiguous(weight);
        targets = Contiguous(targets);
        var weights = ClassTargets.Weights(op, logProbabilities, targets, rows, weight, ignoreIndex);
        var x = ClassTargets.Rows(logProbabilities);
        var loss = step.New(rows, x.DType, op);
        if (!x.Device.IsHost)
            Gpu.NllLossGpu.Forward(x, targets, weights, loss);
        else if (x.DType == DType.F64)
            NllForward<double>(x, targets, weights, loss);
        else
            NllForward<float>(x, targets, weights, loss);
        if (step.Tracks(x))
            step.Record(loss, new NllLossNode(targets, weights), x);
        return Reduce(loss, reduction, weights);
    }

    // One number per row is read: too little work to share out.
    private static void NllForward<T>(Tensor x, Tensor targets, Tensor weights, Tensor loss)
        where T : unmanaged, IFloatingPoint<T>
    {
        T* from = x.Pointer<T>(), weight = weights.Pointer<T>(), to = loss.Pointer<T>();
        long* label = targets.Pointer<long>();
        int classes = x.Shape[^1];
        // An ignored row's label may be no class.
        for (long row = 0; row < loss.Count; row++)
            to[row] = weight[row] == T.Zero ? T.Zero : -from[(row * classes) + label[row]] * weight[row];
    }

    private sealed class NllLossNode : Node
    {
        private readonly Tensor _targets;
        private readonly Tensor _weights;

        public NllLossNode(Tensor targets, Tensor weights)
        {
            _targets = Save(targets);
            _weights = Save(weights);
        }

        public override string Name => "nll_loss";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Step.Zeros(Inputs[0].Shape, dy.DType);
            dy = Contiguous(dy);
            if (!dy.Device.IsHost)
                Gpu.NllLossGpu.Backward(dy, _targets, _weights, dx);
            else if (dy.DType == DType.F64)
                Scatter<double>(dy, dx);
            else
                Scatter<float>(dy, dx);
            into.Give(0, dx);
        }

        private void Scatter<T>(Tensor dy, Tensor dx)
            where T : unmanaged, IFloatingPoint<T>
        {
            T* from = dy.Pointer<T>(), weight = _weights.Pointer<T>(), to = dx.Pointer<T>();
            long* label = _targets.Pointer<long>();
            int classes = dx.Shape[^1];
            for (long row = 0; row < dy.Count; row++)
            {
                if (weight[row] != T.Zero)
                    to[(row * classes) + label[row]] = -from[row] * weight[row];
            }
        }
    }
}
