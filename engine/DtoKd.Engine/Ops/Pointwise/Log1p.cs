namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>log(1 + x), without the loss of a small x.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Log1p(Tensor x) => Pointwise.Unary("log1p", x, default(Log1pFormula));

    internal readonly struct Log1pFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Log1p(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1) / (V.Of(1) + x);
    }
}
