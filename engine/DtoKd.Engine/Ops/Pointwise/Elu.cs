namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x above 0, <c>alpha (e^x - 1)</c> elsewhere (Clevert et al. 2016).</summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="alpha">The distance of the lower bound from 0.</param>
    public static Tensor Elu(Tensor x, double alpha = 1) => Pointwise.Unary("elu", x, new EluFormula(alpha));

    internal readonly struct EluFormula(double alpha) : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Of(0), x), x, V.Of(alpha) * V.Expm1(x));

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Of(0), x), V.Of(1), V.Of(alpha) * V.Exp(x));
    }
}
