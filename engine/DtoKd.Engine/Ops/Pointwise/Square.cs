namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x^2.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Square(Tensor x) => Pointwise.Unary("square", x, default(SquareFormula));

    internal readonly struct SquareFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => x * x;

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => x + x;
    }
}
