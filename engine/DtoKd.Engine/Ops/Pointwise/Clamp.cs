namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>min(max(x, min), max); the derivative is 1 at both bounds. NaN stays NaN.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="min">The lower bound.</param>
    /// <param name="max">The upper bound.</param>
    /// <exception cref="ArgumentException">The lower bound is above the upper one.</exception>
    public static Tensor Clamp(Tensor x, double min = double.NegativeInfinity, double max = double.PositiveInfinity)
    {
        if (!(min <= max))
            throw new ArgumentException($"clamp: the lower bound {min} is above the upper bound {max}");
        return Pointwise.Unary("clamp", x, new ClampFormula(min, max));
    }

    internal readonly struct ClampFormula(double min, double max) : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Min(V.Max(x, V.Of(min)), V.Of(max));

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> =>
            V.Select(V.Less(x, V.Of(min)), V.Of(0), V.Select(V.Less(V.Of(max), x), V.Of(0), V.Of(1)));
    }
}
