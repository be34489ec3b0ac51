namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>1 / sqrt(x).</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Rsqrt(Tensor x) => Pointwise.Unary("rsqrt", x, default(RsqrtFormula));

    internal readonly struct RsqrtFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1) / V.Sqrt(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => V.Of(-0.5) * y * y * y;
    }
}
