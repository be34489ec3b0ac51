namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The variance over axes: the sum of (x - mean)^2 over n - correction, with the deviations taken from the mean itself,
    /// so that a large mean costs no digits.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="correction">What is taken off n: 1 for the unbiased estimate, 0 for the plain mean.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    public static Tensor Var(Tensor x, int[]? axes = null, int correction = 1, bool keepAxes = false) =>
        Variance("var", x, axes, correction, keepAxes);

    /// <summary>The standard deviation over axes, the root of <see cref="Var"/>; its derivative at 0 is taken as 0.</summary>
    /// <inheritdoc cref="Var"/>
    public static Tensor Std(Tensor x, int[]? axes = null, int correction = 1, bool keepAxes = false) =>
        Pointwise.Unary("std", Variance("std", x, axes, correction, keepAxes), default(RootFormula));

    private static Tensor Variance(string op, Tensor x, int[]? axes, int correction, bool keepAxes)
    {
        var step = Step.Of(op, x);
        Pointwise.RequireFloat(op, x);
        using var scope = step.Scope();
        var plan = new ReductionPlan(op, x, axes);
        double scale = 1.0 / Math.Max(0, plan.Reduced - correction);
        var values = x.Detach();
        // The mean in two parts: what rounding to the element type lost of it is the mean of the deviations.
        var mean = Mean(values, axes, keepAxes: true);
        var rest = Mean(values - mean, axes, keepAxes: true);
        var squares = step.New(x.Shape, x.DType, op);
        Pointwise.Run(default(SquaredDeviationMap), squares, values, mean, rest);
        var y = Affine(Sum(squares, axes, keepAxes), scale);
        if (step.Tracks(x))
            step.Record(y, new VarianceNode(op, x, mean, rest, 2 * scale), x);
        return scope.Return(y);
    }

    /// <summary>dx = 2 (x - mean) dy / (n - correction).</summary>
    private sealed class VarianceNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor _mean;
        private readonly Tensor _rest;
        private readonly double _scale;

        public VarianceNode(string op, Tensor x, Tensor mean, Tensor rest, double scale)
        {
            Name = op;
            _x = Save(x);
            _mean = Save(mean);
            _rest = Save(rest);
            _scale = scale;
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var deviation = into.Step.New(_x.Shape, _x.DType, Name);
            Pointwise.Run(default(DeviationMap), deviation, _x, _mean, _rest);
            into.Give(0, deviation * Affine(Reshape(dy, _mean.Shape), _scale));
        }
    }

    /// <summary>x - mean, from (x, mean, what rounding lost of the mean).</summary>
    internal readonly struct DeviationMap : IMap
    {
        public static int Arity => 3;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => a - b - c;
    }

    internal readonly struct SquaredDeviationMap : IMap
    {
        public static int Arity => 3;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => (a - b - c) * (a - b - c);
    }

    /// <summary>A square root whose derivative at 0 is taken as 0, like that of the squares in it.</summary>
    internal readonly struct RootFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Sqrt(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => V.Select(V.Equal(y, V.Of(0)), V.Of(0), V.Of(0.5) / y);
    }
}
