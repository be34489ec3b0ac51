namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The larger of a and b, element by element, with broadcasting; NaN where either is. Equal elements share the gradient, half
    /// each.
    /// </summary>
    public static Tensor Maximum(Tensor a, Tensor b) => Pointwise.Binary("maximum", a, b, default(MaximumFormula));

    internal readonly struct MaximumFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Max(a, b);

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> =>
            V.Select(V.Less(b, a), V.Of(1), V.Select(V.Equal(a, b), V.Of(0.5), V.Of(0)));

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => SlopeA(b, a);
    }
}
