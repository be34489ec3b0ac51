namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// a^b, element by element, with broadcasting, from e^(b log |a|): the relative error grows like |b log a|. A negative a
    /// needs a whole b, otherwise the result is NaN; a^0 is 1. The derivative in b is 0 where a is 0 and b is not negative.
    /// </summary>
    /// <param name="a">The base.</param>
    /// <param name="b">The exponent.</param>
    public static Tensor Pow(Tensor a, Tensor b) => Pointwise.Binary("pow", a, b, default(PowFormula));

    internal readonly struct PowFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => Of(a, b);

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Select(V.Equal(b, V.Of(0)), V.Of(0), b * Of(a, b - V.Of(1)));

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V>
        {
            var slope = Of(a, b) * V.Log(a);
            return V.Select(V.Equal(a, V.Of(0)), V.Select(V.Less(b, V.Of(0)), slope, V.Of(0)), slope);
        }

        public static V Of<V>(V a, V b)
            where V : unmanaged, ILane<V>
        {
            var size = V.Exp(b * V.Log(V.Abs(a)));
            var isWhole = V.Equal(V.Round(b), b);
            var isEven = V.Equal(V.Round(b * V.Of(0.5)) * V.Of(2), b);
            var ofNegative = V.Select(isEven, size, V.Select(isWhole, -size, V.Of(double.NaN)));
            var y = V.Select(V.Less(a, V.Of(0)), ofNegative, size);
            return V.Select(V.Equal(b, V.Of(0)), V.Of(1), y);
        }
    }
}
