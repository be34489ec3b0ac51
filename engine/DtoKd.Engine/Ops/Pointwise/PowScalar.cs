namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// x^exponent. Whole and half exponents up to 16 are products and a square root; others e^(exponent log x), with a relative
    /// error that grows like |exponent log x|. A negative x needs a whole exponent, otherwise the result is NaN.
    /// </summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="exponent">A number; 0 gives 1 everywhere.</param>
    public static Tensor PowScalar(Tensor x, double exponent) =>
        Pointwise.Unary("powscalar", x, new PowScalarFormula(exponent));

    private readonly struct PowScalarFormula(double exponent) : IUnary
    {
        private const double LargestProduct = 16;

        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => Power(x, exponent);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> =>
            exponent == 0 ? V.Of(0) : V.Of(exponent) * Power(x, exponent - 1);

        private static V Power<V>(V x, double exponent)
            where V : unmanaged, ILane<V>
        {
            double size = Math.Abs(exponent);
            if (size > LargestProduct || Math.Floor(2 * size) != 2 * size)
                return PowFormula.Of(x, V.Of(exponent));
            var y = size == Math.Floor(size) ? V.Of(1) : V.Sqrt(x);
            for (int rest = (int)size; rest > 0; rest >>= 1, x *= x)
            {
                if ((rest & 1) != 0)
                    y *= x;
            }

            return exponent < 0 ? V.Of(1) / y : y;
        }
    }
}
