namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The sine of x radians. In single precision NaN beyond 4e6, where floats are half a radian apart.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Sin(Tensor x) => Pointwise.Unary("sin", x, default(SinFormula));

    internal readonly struct SinFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Sin(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Cos(x);
    }
}
