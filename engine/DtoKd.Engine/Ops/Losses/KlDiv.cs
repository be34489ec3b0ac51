namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The sum over classes of t (log t - logProbabilities), 0 where t is 0: KL(targets || student) of given distributions.
    /// Of two sets of logits, use <see cref="KlDivergence"/>.
    /// </summary>
    /// <param name="logProbabilities">[N, ...] logarithms, as from <see cref="LogSoftmax"/>.</param>
    /// <param name="targets">Probabilities of the same shape; a gradient flows through both.</param>
    /// <param name="reduction">
    /// The mean is over the N samples, PyTorch's "batchmean"; without reduction, the terms of the sum.
    /// </param>
    /// <returns>A scalar, or without reduction a tensor of the inputs' shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or the inputs are scalars.</exception>
    public static Tensor KlDiv(Tensor logProbabilities, Tensor targets, Reduction reduction = Reduction.Mean)
    {
        const string op = "kl_div";
        Require.Shape(op, "target", targets, logProbabilities.Shape, logProbabilities);
        if (logProbabilities.Shape.Rank == 0)
            throw new ArgumentException($"{op}: needs [N, ...], got a scalar");
        var terms = Pointwise.Binary(op, logProbabilities, targets, default(KlDivFormula));
        return Reduce(terms, reduction, logProbabilities.Shape[0]);
    }

    internal readonly struct KlDivFormula : IBinary
    {
        public V Value<V>(V logQ, V t)
            where V : unmanaged, ILane<V> => V.Select(V.Equal(t, V.Of(0)), V.Of(0), t * (V.Log(t) - logQ));

        public V SlopeA<V>(V logQ, V t)
            where V : unmanaged, ILane<V> => -t;

        public V SlopeB<V>(V logQ, V t)
            where V : unmanaged, ILane<V> => V.Log(t) + V.Of(1) - logQ;
    }
}
