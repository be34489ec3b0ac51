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

    internal readonly struct PowScalarFormula(double exponent) : IUnary
    {
        private readonly Power _value = new(exponent);
        private readonly Power _slope = new(exponent - 1);
        private readonly double _exponent = exponent;

        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => _value.Of(x);

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => _exponent == 0 ? V.Of(0) : V.Of(_exponent) * _slope.Of(x);
    }

    /// <summary>x^exponent; how it is computed depends on the exponent alone and is settled here, not in every element.</summary>
    private readonly struct Power
    {
        private const double LargestProduct = 16;

        private readonly double _exponent;

        // Factors of x; -1 for an exponent that is no product.
        private readonly int _factors;
        private readonly int _hasRoot;

        public Power(double exponent)
        {
            double size = Math.Abs(exponent);
            bool isProduct = size <= LargestProduct && Math.Floor(2 * size) == 2 * size;
            _exponent = exponent;
            _factors = isProduct ? (int)size : -1;
            _hasRoot = isProduct && size != Math.Floor(size) ? 1 : 0;
        }

        public V Of<V>(V x)
            where V : unmanaged, ILane<V>
        {
            if (_factors < 0)
                return PowFormula.Of(x, V.Of(_exponent));
            var y = _hasRoot != 0 ? V.Sqrt(x) : V.Of(1);
            for (int rest = _factors; rest > 0; rest >>= 1, x *= x)
            {
                if ((rest & 1) != 0)
                    y *= x;
            }

            return _exponent < 0 ? V.Of(1) / y : y;
        }
    }
}
