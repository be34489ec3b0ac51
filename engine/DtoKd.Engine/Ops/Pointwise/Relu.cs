namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>max(x, 0); its derivative at 0 is taken as 0. Saves its result, as the next layer does.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Relu(Tensor x) => Pointwise.Unary("relu", x, default(ReluFormula));

    internal readonly struct ReluFormula : IUnary
    {
        public static bool SlopeOfResult => true;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Max(x, V.Of(0));

        public V Slope<V>(V y)
            where V : unmanaged, ILane<V> => V.Select(V.Less(V.Of(0), y), V.Of(1), V.Of(0));
    }
}
