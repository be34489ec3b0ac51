namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The arc tangent, in radians.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Atan(Tensor x) => Pointwise.Unary("atan", x, default(AtanFormula));

    internal readonly struct AtanFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Atan(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1) / V.MultiplyAdd(x, x, V.Of(1));
    }
}
