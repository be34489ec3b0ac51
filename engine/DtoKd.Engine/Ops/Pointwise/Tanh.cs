namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The hyperbolic tangent.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Tanh(Tensor x) => Pointwise.Unary("tanh", x, default(TanhFormula));

    internal readonly struct TanhFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Tanh(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => (V.Of(1) - y) * (V.Of(1) + y);
    }
}
