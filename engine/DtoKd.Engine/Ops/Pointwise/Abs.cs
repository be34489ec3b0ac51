namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>|x|; its derivative at 0 is taken as 0.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Abs(Tensor x) => Pointwise.Unary("abs", x, default(AbsFormula));

    internal readonly struct AbsFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Abs(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> =>
            V.Select(V.Less(V.Of(0), x), V.Of(1), V.Select(V.Less(x, V.Of(0)), V.Of(-1), V.Of(0)));
    }
}
