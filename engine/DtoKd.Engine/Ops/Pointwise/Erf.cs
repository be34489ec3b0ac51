namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The error function: 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Erf(Tensor x) => Pointwise.Unary("erf", x, default(ErfFormula));

    internal readonly struct ErfFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Erf(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1.12837916709551257) * V.Exp(-x * x);
    }
}
