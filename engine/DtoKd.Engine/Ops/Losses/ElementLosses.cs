namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>(x - y)^2 of each element: the squared error.</summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="y">Floats of the same shape; a gradient flows through both.</param>
    /// <param name="reduction">The mean is over all elements.</param>
    /// <returns>A scalar, or without reduction a tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public static Tensor MseLoss(Tensor x, Tensor y, Reduction reduction = Reduction.Mean) =>
        ElementLoss("mse_loss", x, y, default(SquaredErrorFormula), reduction);

    /// <summary>|x - y| of each element: the absolute error. Its slope is 0 where x = y.</summary>
    /// <inheritdoc cref="MseLoss"/>
    public static Tensor L1Loss(Tensor x, Tensor y, Reduction reduction = Reduction.Mean) =>
        ElementLoss("l1_loss", x, y, default(AbsoluteErrorFormula), reduction);

    /// <summary>
    /// With d = |x - y| of each element: d^2 / (2 beta) below beta, d - beta / 2 above (Girshick: "Fast R-CNN", 2015).
    /// </summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="y">Floats of the same shape; a gradient flows through both.</param>
    /// <param name="beta">Where the parabola meets the line; 0 for the absolute error.</param>
    /// <param name="reduction">The mean is over all elements.</param>
    /// <returns>A scalar, or without reduction a tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or beta is negative.</exception>
    public static Tensor SmoothL1Loss(Tensor x, Tensor y, double beta = 1, Reduction reduction = Reduction.Mean)
    {
        const string op = "smooth_l1_loss";
        if (!(beta >= 0))
            throw new ArgumentException($"{op}: beta {beta}, expected 0 or more");
        return beta == 0
            ? ElementLoss(op, x, y, default(AbsoluteErrorFormula), reduction)
            : ElementLoss(op, x, y, new HuberFormula(beta, 1 / beta), reduction);
    }

    /// <summary>
    /// With d = |x - y| of each element: d^2 / 2 below delta, delta (d - delta / 2) above (Huber: "Robust estimation of a
    /// location parameter", 1964).
    /// </summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="y">Floats of the same shape; a gradient flows through both.</param>
    /// <param name="delta">Where the parabola meets the line, positive.</param>
    /// <param name="reduction">The mean is over all elements.</param>
    /// <returns>A scalar, or without reduction a tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or delta is not positive.</exception>
    public static Tensor HuberLoss(Tensor x, Tensor y, double delta = 1, Reduction reduction = Reduction.Mean)
    {
        const string op = "huber_loss";
        if (!(delta > 0))
            throw new ArgumentException($"{op}: delta {delta}, expected a positive number");
        return ElementLoss(op, x, y, new HuberFormula(delta, 1), reduction);
    }

    private static Tensor ElementLoss<TFormula>(string op, Tensor x, Tensor y, TFormula formula, Reduction reduction)
        where TFormula : struct, IBinary
    {
        // Broadcasting here would nearly always be a mistake: [N] against [N, 1] gives N^2 differences.
        Require.Shape(op, "y", y, x.Shape, x);
        return Reduce(Pointwise.Binary(op, x, y, formula), reduction, x.Count);
    }

    internal readonly struct SquaredErrorFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => (a - b) * (a - b);

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => (a - b) * V.Of(2);

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => (b - a) * V.Of(2);
    }

    internal readonly struct AbsoluteErrorFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Abs(a - b);

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => Sign(a - b);

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => Sign(b - a);

        private static V Sign<V>(V d)
            where V : unmanaged, ILane<V> =>
            V.Select(V.Less(d, V.Of(0)), V.Of(-1), V.Select(V.Less(V.Of(0), d), V.Of(1), d));
    }

    /// <summary>scale times Huber's loss: with c = min(d, delta), scale c (d - c / 2).</summary>
    internal readonly struct HuberFormula(double delta, double scale) : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V>
        {
            V d = V.Abs(a - b), c = V.Min(d, V.Of(delta));
            return c * V.Of(scale) * V.MultiplyAdd(c, V.Of(-0.5), d);
        }

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => Slope(a - b);

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => Slope(b - a);

        private V Slope<V>(V d)
            where V : unmanaged, ILane<V> => V.Max(V.Min(d, V.Of(delta)), V.Of(-delta)) * V.Of(scale);
    }
}
