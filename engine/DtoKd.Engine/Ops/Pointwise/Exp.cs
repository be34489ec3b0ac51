namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>e^x, element by element.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Exp(Tensor x) => Pointwise.Unary("exp", x, default(ExpFormula));

    internal readonly struct ExpFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Exp(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => y;
    }
}
