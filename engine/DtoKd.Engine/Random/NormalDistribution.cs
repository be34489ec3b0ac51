namespace DtoKd.Engine;

/// <summary>The standard normal distribution function and its inverse, in double precision.</summary>
internal static class NormalDistribution
{
    // Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), PPND16:
    // numerator and denominator, lowest power first, of its central and its middle range.
    private static readonly double[] CentralNumerator =
    [
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ];

    private static readonly double[] CentralDenominator =
    [
        1, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ];

    private static readonly double[] MiddleNumerator =
    [
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ];

    private static readonly double[] MiddleDenominator =
    [
        1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ];

    /// <summary>The probability of a value up to x; absolute error about 1e-15.</summary>
    internal static double Cumulative(double x)
    {
        if (Math.Abs(x) > 9)
            return x > 0 ? 1 : 0;
        // 1/2 + density(x) (x + x^3/3 + x^5/(3 5) + ...), Marsaglia, "Evaluating the normal distribution", 2004.
        double sum = x, term = x;
        for (int i = 3; Math.Abs(term) > 1e-17 * Math.Abs(sum); i += 2)
            sum += term *= x * x / i;
        return 0.5 + sum * Math.Exp(-0.5 * x * x) / Math.Sqrt(2 * Math.PI);
    }

    /// <summary>The value with probability p below it; relative error about 1e-15.</summary>
    /// <param name="p">In [1.4e-11, 1 - 1.4e-11]: outside, the algorithm's third range would be needed.</param>
    internal static double Quantile(double p)
    {
        double q = p - 0.5;
        if (Math.Abs(q) <= 0.425)
        {
            double r = 0.180625 - q * q;
            return q * Polynomial(CentralNumerator, r) / Polynomial(CentralDenominator, r);
        }
        double tail = Math.Sqrt(-Math.Log(Math.Min(p, 1 - p))) - 1.6;
        return Math.Sign(q) * Polynomial(MiddleNumerator, tail) / Polynomial(MiddleDenominator, tail);
    }

    private static double Polynomial(double[] coefficients, double x)
    {
        double sum = 0;
        for (int i = coefficients.Length - 1; i >= 0; i--)
            sum = sum * x + coefficients[i];
        return sum;
    }
}
