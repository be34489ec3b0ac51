namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x times <see cref="HardSigmoid"/> (Howard et al. 2019).</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor HardSwish(Tensor x) => Pointwise.Unary("hardswish", x, default(HardSwishFormula));

    internal readonly struct HardSwishFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => x * V.Min(V.Max(V.MultiplyAdd(x, V.Of(1.0 / 6), V.Of(0.5)), V.Of(0)), V.Of(1));

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V>
        {
            var inside = V.MultiplyAdd(x, V.Of(1.0 / 3), V.Of(0.5));
            return V.Select(V.Less(V.Abs(x), V.Of(3)), inside, V.Select(V.Less(x, V.Of(0)), V.Of(0), V.Of(1)));
        }
    }
}
