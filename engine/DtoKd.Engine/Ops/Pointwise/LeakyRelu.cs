namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x above 0, <c>slope * x</c> elsewhere.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="slope">The slope below 0.</param>
    public static Tensor LeakyRelu(Tensor x, double slope = 0.01) => Pointwise.Unary("leakyrelu", x, new LeakyReluFormula(slope));

    internal readonly struct LeakyReluFormula(double slope) : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Of(0), x), x, V.Of(slope) * x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Of(0), x), V.Of(1), V.Of(slope));
    }
}
