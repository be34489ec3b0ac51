namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x / 6 + 1/2 between -3 and 3, 0 below, 1 above; the derivative is 0 at both ends.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor HardSigmoid(Tensor x) => Pointwise.Unary("hardsigmoid", x, default(HardSigmoidFormula));

    internal readonly struct HardSigmoidFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Min(V.Max(V.MultiplyAdd(x, V.Of(1.0 / 6), V.Of(0.5)), V.Of(0)), V.Of(1));

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Abs(x), V.Of(3)), V.Of(1.0 / 6), V.Of(0));
    }
}
