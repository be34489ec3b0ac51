namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// log(sum of e^x) over axes, taken relative to the largest element, so that nothing overflows; -infinity over no
    /// elements and where all are -infinity.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    public static Tensor LogSumExp(Tensor x, int[]? axes = null, bool keepAxes = false)
    {
        var step = Step.Of("logsumexp", x);
        Pointwise.RequireFloat("logsumexp", x);
        using var scope = step.Scope();
        var plan = new ReductionPlan("logsumexp", x, axes);
        var values = x.Detach();
        var max = plan.Reduced == 0 ? step.Zeros(plan.KeptShape, x.DType) : Amax(values, axes, keepAxes: true);
        var terms = Pointwise.Broadcast("logsumexp", values, max, default(ExpBelowMap));
        var kept = Pointwise.Broadcast("logsumexp", Sum(terms, axes, keepAxes: true), max, default(LogAboveMap));
        var y = keepAxes ? kept : plan.NewResult(step, keepAxes: false, x.DType, "logsumexp");
        if (!keepAxes)
            Copy(Reshape(kept, y.Shape), y, accumulate: false);
        if (step.Tracks(x))
            step.Record(y, new LogSumExpNode(x, kept), x);
        return scope.Return(y);
    }

    /// <summary>dx = e^(x - y) dy.</summary>
    private sealed class LogSumExpNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor _y;

        public LogSumExpNode(Tensor x, Tensor y)
        {
            _x = Save(x);
            _y = Save(y);
        }

        public override string Name => "logsumexp";

        public override void Backward(Tensor dy, Gradients into) => into.Give(
            0, Pointwise.Broadcast(Name, _x, _y, default(ShareMap)) * Reshape(dy, _y.Shape));
    }

    /// <summary>e^(x - max), or e^x where the maximum is infinite: the difference would be NaN.</summary>
    internal readonly struct ExpBelowMap : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.Exp(a - Finite(b));

        public static V Finite<V>(V max)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Abs(max), V.Of(double.PositiveInfinity)), max, V.Of(0));
    }

    /// <summary>log(sum) + max.</summary>
    internal readonly struct LogAboveMap : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.Log(a) + ExpBelowMap.Finite(b);
    }

    /// <summary>e^(x - y); 0 for an x of -infinity, even among its like.</summary>
    internal readonly struct ShareMap : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> =>
            V.Select(V.Equal(a, V.Of(double.NegativeInfinity)), V.Of(0), V.Exp(a - b));
    }
}
