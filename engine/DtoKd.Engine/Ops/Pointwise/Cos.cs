namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The cosine of x radians. In single precision NaN beyond 4e6, where floats are half a radian apart.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Cos(Tensor x) => Pointwise.Unary("cos", x, default(CosFormula));

    internal readonly struct CosFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Cos(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => -V.Sin(x);
    }
}
