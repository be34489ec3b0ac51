namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>e^x - 1, without the cancellation near 0.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Expm1(Tensor x) => Pointwise.Unary("expm1", x, default(Expm1Formula));

    internal readonly struct Expm1Formula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Expm1(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => y + V.Of(1);
    }
}
