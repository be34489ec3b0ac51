namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The natural logarithm: -infinity at 0, NaN below.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Log(Tensor x) => Pointwise.Unary("log", x, default(LogFormula));

    internal readonly struct LogFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Log(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1) / x;
    }
}
