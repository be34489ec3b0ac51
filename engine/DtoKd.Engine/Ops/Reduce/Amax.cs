namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The largest element over axes; NaN if there is one. Equal largest elements share the gradient.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    /// <exception cref="ArgumentException">There are no elements to choose from.</exception>
    public static Tensor Amax(Tensor x, int[]? axes = null, bool keepAxes = false) =>
        Extreme<LargerOf>("amax", x, axes, keepAxes);

    /// <summary>The smallest element over axes; NaN if there is one. Equal smallest elements share the gradient.</summary>
    /// <inheritdoc cref="Amax"/>
    public static Tensor Amin(Tensor x, int[]? axes = null, bool keepAxes = false) =>
        Extreme<SmallerOf>("amin", x, axes, keepAxes);

    private static Tensor Extreme<TFold>(string op, Tensor x, int[]? axes, bool keepAxes)
        where TFold : struct, IFold
    {
        var step = Step.Of(op, x);
        Pointwise.RequireFloat(op, x);
        var plan = new ReductionPlan(op, x, axes);
        var y = plan.NewResult(step, keepAxes, x.DType, op);
        if (plan.Reduced == 0 && y.Count > 0)
            throw new ArgumentException($"{op}: nothing to choose from over an axis of size 0 of shape {x.Shape}");
        Fold.Run<TFold>(plan.ArrangeUntracked(x), y, plan.Outer, plan.Reduced, plan.Inner);
        if (step.Tracks(x))
            step.Record(y, new ExtremeNode(op, x, y, axes, plan.KeptShape), x);
        return y;
    }

    private sealed class ExtremeNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor _y;
        private readonly int[]? _axes;
        private readonly Shape _kept;

        public ExtremeNode(string op, Tensor x, Tensor y, int[]? axes, Shape kept)
        {
            Name = op;
            _x = Save(x);
            _y = Save(y);
            _axes = axes;
            _kept = kept;
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var chosen = Pointwise.Broadcast(Name, _x, Reshape(_y, _kept), default(EqualMap));
            into.Give(0, chosen * (Reshape(dy, _kept) / Sum(chosen, _axes, keepAxes: true)));
        }
    }

    internal readonly struct LargerOf : IFold
    {
        public static double Start => double.NegativeInfinity;

        public static V Of<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Max(a, b);
    }

    internal readonly struct SmallerOf : IFold
    {
        public static double Start => double.PositiveInfinity;

        public static V Of<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Min(a, b);
    }

    /// <summary>1 where two numbers are equal, 0 elsewhere.</summary>
    internal readonly struct EqualMap : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.Select(V.Equal(a, b), V.Of(1), V.Of(0));
    }
}
