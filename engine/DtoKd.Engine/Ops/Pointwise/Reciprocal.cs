namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>1 / x.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Reciprocal(Tensor x) => Pointwise.Unary("reciprocal", x, default(ReciprocalFormula));

    internal readonly struct ReciprocalFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Of(1) / x;

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => -y * y;
    }
}
