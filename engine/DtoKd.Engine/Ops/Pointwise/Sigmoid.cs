namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>1 / (1 + e^-x).</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Sigmoid(Tensor x) => Pointwise.Unary("sigmoid", x, default(SigmoidFormula));

    internal readonly struct SigmoidFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => Of(x);

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => y * (V.Of(1) - y);

        /// <summary>From e^-|x|, which cannot overflow and keeps the digits of small results.</summary>
        public static V Of<V>(V x)
            where V : unmanaged, ILane<V>
        {
            var e = V.Exp(-V.Abs(x));
            return V.Select(V.Less(x, V.Of(0)), e, V.Of(1)) / (V.Of(1) + e);
        }
    }
}
