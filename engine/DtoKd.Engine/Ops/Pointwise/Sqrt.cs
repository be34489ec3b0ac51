namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The square root; its derivative at 0 is infinite.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Sqrt(Tensor x) => Pointwise.Unary("sqrt", x, default(SqrtFormula));

    internal readonly struct SqrtFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Sqrt(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => V.Of(0.5) / y;
    }
}
