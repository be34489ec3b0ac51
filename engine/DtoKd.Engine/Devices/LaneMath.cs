using System.Runtime.CompilerServices;

namespace DtoKd.Engine;

/// <summary>
/// Elementary functions of floats, from multiply-adds alone, so that every vector width and device gives the same bits.
/// </summary>
/// <remarks>
/// The polynomials are Chebyshev interpolants of the functions named beside them, computed in double precision; the stated
/// errors are measured against double precision over all of the domain by the tests. Results below the normal range are
/// rounded once more.
/// </remarks>
internal static class LaneMath
{
    private const double Ln2 = 0.693147180559945309;

    // The leading bits of ln 2, so that n * Ln2High is exact for every exponent n.
    private const double Ln2High = 0.693359375;

    /// <summary>e^x within 1 ulp; 0 below -104, infinity above 88.72; NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var p = ReducedExpm1(V.Max(V.Min(x, V.Of(89)), V.Of(-104)), out var n) + V.Of(1);
        // Two factors: the exponent of one alone reaches neither the denormals nor the last value before infinity.
        var half = V.Round(n * V.Of(0.5));
        return p * V.PowerOfTwo(half) * V.PowerOfTwo(n - half);
    }

    /// <summary>e^x within 1 ulp for x up to 0; 0 below -87, where results leave the normal range; NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpOfNegative<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var p = ReducedExpm1(x, out var n) + V.Of(1);
        return V.Select(V.Less(x, V.Of(-87)), V.Of(0), p * V.PowerOfTwo(n));
    }

    /// <summary>2^x within 1 ulp for x up to 0; 0 below -125.5, near where results leave the normal range; NaN for NaN.</summary>
    /// <remarks>Fewer instructions than e^x, where x can be had in units of ln 2 for nothing.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2OfNegative<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var n = V.Round(x);
        var r = x - n;
        // 2^r on [-1/2, 1/2]
        var p = V.MultiplyAdd(V.Of(0.000155946812), r, V.Of(0.00134066441));
        p = V.MultiplyAdd(p, r, V.Of(0.00961769297));
        p = V.MultiplyAdd(p, r, V.Of(0.0555031055));
        p = V.MultiplyAdd(p, r, V.Of(0.240226528));
        p = V.MultiplyAdd(p, r, V.Of(0.693147215));
        p = V.MultiplyAdd(p, r, V.Of(1));
        return V.Select(V.Less(x, V.Of(-125.5)), V.Of(0), p * V.PowerOfTwo(n));
    }

    /// <summary>e^x - 1 within 1.5 ulps; -1 below -25, infinity above 88.72; NaN for NaN.</summary>
    public static V Expm1<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var p = ReducedExpm1(V.Max(V.Min(x, V.Of(89)), V.Of(-25)), out var n);
        // 2^n (p + 1) - 1, with the 1 subtracted between the two factors of 2^n: exact where n is 0.
        var half = V.Round(n * V.Of(0.5));
        var first = V.PowerOfTwo(half);
        return V.MultiplyAdd(p, first, first - V.PowerOfTwo(half - n)) * V.PowerOfTwo(n - half);
    }

    /// <summary>e^r - 1 for the r nearest to 0 such that x = n ln 2 + r.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ReducedExpm1<V>(V x, out V n)
        where V : unmanaged, IFloatLane<V>
    {
        n = V.Round(x * V.Of(1 / Ln2));
        var r = V.MultiplyAdd(n, V.Of(-Ln2High), x);
        r = V.MultiplyAdd(n, V.Of(Ln2High - Ln2), r);
        // (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2]
        var p = V.MultiplyAdd(V.Of(0.000198909808), r, V.Of(0.0013933641));
        p = V.MultiplyAdd(p, r, V.Of(0.00833331093));
        p = V.MultiplyAdd(p, r, V.Of(0.041666465));
        p = V.MultiplyAdd(p, r, V.Of(0.166666667));
        p = V.MultiplyAdd(p, r, V.Of(0.5));
        return V.MultiplyAdd(p, r * r, r);
    }

    /// <summary>The natural logarithm within 1 ulp; -infinity at 0, NaN below.</summary>
    public static V Log<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        const double Tiny = 1.17549435e-38;
        var denormal = V.Less(x, V.Of(Tiny));
        var scaled = V.Select(denormal, x * V.Of(8388608), x);
        var m = V.Mantissa(scaled, out var e);
        e = V.Select(denormal, e - V.Of(23), e);
        var high = V.Less(V.Of(1.41421356237), m);
        m = V.Select(high, m * V.Of(0.5), m);
        e = V.Select(high, e + V.Of(1), e);
        var z = m - V.Of(1);
        // (log(1 + z) - z + z^2 / 2) / z^3 on [sqrt(1/2) - 1, sqrt(2) - 1]
        var p = V.MultiplyAdd(V.Of(-0.0620141507), z, V.Of(0.105308136));
        p = V.MultiplyAdd(p, z, V.Of(-0.106462044));
        p = V.MultiplyAdd(p, z, V.Of(0.110377939));
        p = V.MultiplyAdd(p, z, V.Of(-0.124507429));
        p = V.MultiplyAdd(p, z, V.Of(0.142865238));
        p = V.MultiplyAdd(p, z, V.Of(-0.166680015));
        p = V.MultiplyAdd(p, z, V.Of(0.200000101));
        p = V.MultiplyAdd(p, z, V.Of(-0.249999903));
        p = V.MultiplyAdd(p, z, V.Of(0.333333333));
        var z2 = z * z;
        var y = V.MultiplyAdd(p * z, z2, e * V.Of(Ln2 - Ln2High));
        y = V.MultiplyAdd(z2, V.Of(-0.5), y) + z;
        y = V.MultiplyAdd(e, V.Of(Ln2High), y);
        y = V.Select(V.Less(x, V.Of(double.PositiveInfinity)), y, x);
        y = V.Select(V.Equal(x, V.Of(0)), V.Of(double.NegativeInfinity), y);
        return V.Select(V.Less(x, V.Of(0)), V.Of(double.NaN), y);
    }

    /// <summary>log(1 + x) within 1.5 ulps; -infinity at -1, NaN below.</summary>
    public static V Log1p<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var sum = V.Of(1) + x;
        // What the sum lost of x, to first order; at -1 and infinity there is nothing to add.
        var lost = x - (sum - V.Of(1));
        return Log(sum) + V.Select(V.Less(V.Of(0), V.Abs(lost)), lost / sum, V.Of(0));
    }

    /// <summary>The hyperbolic tangent within 1.5 ulps.</summary>
    public static V Tanh<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var t = V.Abs(x);
        // (tanh(x) / x - 1) / x^2 in s = x^2 up to 0.4
        var s = x * x;
        var p = V.MultiplyAdd(V.Of(0.00226950164), s, V.Of(-0.008323187));
        p = V.MultiplyAdd(p, s, V.Of(0.0217625029));
        p = V.MultiplyAdd(p, s, V.Of(-0.0539584616));
        p = V.MultiplyAdd(p, s, V.Of(0.133333001));
        p = V.MultiplyAdd(p, s, V.Of(-0.333333331));
        var small = V.MultiplyAdd(p * s, x, x);
        var large = V.Of(1) - (V.Of(2) / (Exp(t + t) + V.Of(1)));
        large = V.Select(V.Less(x, V.Of(0)), -large, large);
        return V.Select(V.Less(t, V.Of(0.625)), small, large);
    }

    /// <summary>The error function within 1.5 ulps.</summary>
    public static V Erf<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var t = V.Abs(x);
        // erf(x) / x - 1 in s = x^2 up to 1
        var s = x * x;
        var p = V.MultiplyAdd(V.Of(-9.6670444e-06), s, V.Of(0.00011265959));
        p = V.MultiplyAdd(p, s, V.Of(-0.00084840804));
        p = V.MultiplyAdd(p, s, V.Of(0.00522103181));
        p = V.MultiplyAdd(p, s, V.Of(-0.0268654307));
        p = V.MultiplyAdd(p, s, V.Of(0.112837825));
        p = V.MultiplyAdd(p, s, V.Of(-0.376126385));
        p = V.MultiplyAdd(p, s, V.Of(0.128379167));
        var small = V.MultiplyAdd(p, x, x);
        // log(1 - erf(t)) on [0.95, 4]; beyond 4 the result is 1 in float
        var u = V.Min(t, V.Of(4));
        var q = V.MultiplyAdd(V.Of(1.64267897e-06), u, V.Of(-4.61647852e-05));
        q = V.MultiplyAdd(q, u, V.Of(0.000597677275));
        q = V.MultiplyAdd(q, u, V.Of(-0.00476350966));
        q = V.MultiplyAdd(q, u, V.Of(0.0264316433));
        q = V.MultiplyAdd(q, u, V.Of(-0.110097243));
        q = V.MultiplyAdd(q, u, V.Of(-0.63180955));
        q = V.MultiplyAdd(q, u, V.Of(-1.13024188));
        q = V.MultiplyAdd(q, u, V.Of(0.00032186626));
        var large = V.Of(1) - Exp(q);
        large = V.Select(V.Less(x, V.Of(0)), -large, large);
        return V.Select(V.Less(t, V.Of(0.97)), small, large);
    }

    /// <summary>
    /// The distribution function of the standard normal distribution, within 4e-7, and e^(-x^2/2), which comes with it. Below 0
    /// the relative error grows with the exponent only: 4e-7 (1 + x^2/2). Both are 0 below -13.19.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Phi<V>(V x, out V bell)
        where V : unmanaged, IFloatLane<V>
    {
        bell = Exp2OfNegative(x * x * V.Of(-0.5 / Ln2));
        // (1 - Phi(t)) e^(t^2/2) / k in k = 1 / (1 + 0.3 t) for t from 0 to 13.2, where errors may grow as 1 + t^2/2
        var k = V.Of(1) / V.MultiplyAdd(V.Abs(x), V.Of(0.3), V.Of(1));
        var p = V.MultiplyAdd(V.Of(0.0359482638), k, V.Of(-0.157802065));
        p = V.MultiplyAdd(p, k, V.Of(0.206293875));
        p = V.MultiplyAdd(p, k, V.Of(-0.0524471462));
        p = V.MultiplyAdd(p, k, V.Of(0.12717309));
        p = V.MultiplyAdd(p, k, V.Of(0.100593584));
        p = V.MultiplyAdd(p, k, V.Of(0.1205975));
        p = V.MultiplyAdd(p, k, V.Of(0.119642912));
        var tail = p * k * bell;
        return V.Select(V.Less(x, V.Of(0)), tail, V.Of(1) - tail);
    }

    /// <summary>The sine within 2 ulps for |x| up to 4e6; NaN beyond, where floats are half a radian apart.</summary>
    public static V Sin<V>(V x)
        where V : unmanaged, IFloatLane<V> => SinOfQuarterTurns(x, 0);

    /// <summary>The cosine within 2 ulps for |x| up to 4e6; NaN beyond.</summary>
    public static V Cos<V>(V x)
        where V : unmanaged, IFloatLane<V> => SinOfQuarterTurns(x, 1);

    /// <summary>sin(x + turns * pi / 2), turns 0 or 1.</summary>
    private static V SinOfQuarterTurns<V>(V x, int turns)
        where V : unmanaged, IFloatLane<V>
    {
        // x = n pi/2 + r; pi/2 in three floats, and the first difference is exact. A large n is found in two steps.
        var n = V.Round(x * V.Of(2 / Math.PI));
        n += V.Round(V.MultiplyAdd(n, V.Of(-1.5707963705062866), x) * V.Of(2 / Math.PI));
        var r = V.MultiplyAdd(n, V.Of(-1.5707963705062866), x);
        r = V.MultiplyAdd(n, V.Of(4.371138828673793e-08), r);
        r = V.MultiplyAdd(n, V.Of(1.7151245100058819e-15), r);
        var s = r * r;
        // (sin(r) / r - 1) / s and (cos(r) - 1 + s / 2) / s^2 in s = r^2 up to (pi / 4)^2
        var sin = V.MultiplyAdd(V.Of(2.72468687e-06), s, V.Of(-0.00019840063));
        sin = V.MultiplyAdd(sin, s, V.Of(0.00833333183));
        sin = V.MultiplyAdd(sin, s, V.Of(-0.166666667));
        sin = V.MultiplyAdd(sin * s, r, r);
        var cos = V.MultiplyAdd(V.Of(2.45454191e-05), s, V.Of(-0.00138882913));
        cos = V.MultiplyAdd(cos, s, V.Of(0.0416666646));
        cos = V.MultiplyAdd(cos, s * s, V.MultiplyAdd(s, V.Of(-0.5), V.Of(1)));
        // The quadrant 0 .. 3: sin, cos, -sin, -cos.
        var quarter = n + V.Of(turns);
        quarter = V.MultiplyAdd(V.Round(V.MultiplyAdd(quarter, V.Of(0.25), V.Of(-0.375))), V.Of(-4), quarter);
        var isSin = V.Equal(V.MultiplyAdd(V.Round(quarter * V.Of(0.5)), V.Of(-2), quarter), V.Of(0));
        var y = V.Select(isSin, sin, cos);
        y = V.Select(V.Less(V.Of(1.5), quarter), -y, y);
        return V.Select(V.Less(V.Abs(x), V.Of(4e6)), y, V.Of(double.NaN));
    }

    /// <summary>The arc tangent within 2.5 ulps.</summary>
    public static V Atan<V>(V x)
        where V : unmanaged, IFloatLane<V>
    {
        var t = V.Abs(x);
        // atan(t) = pi/2 + atan(-1 / t) = pi/4 + atan((t - 1) / (t + 1)): an argument below tan(pi / 8).
        var large = V.Less(V.Of(2.41421356), t);
        var middle = V.Less(V.Of(0.414213562), t);
        var above = V.Select(large, V.Of(-1), V.Select(middle, t - V.Of(1), t));
        var below = V.Select(large, t, V.Select(middle, t + V.Of(1), V.Of(1)));
        var start = V.Select(large, V.Of(Math.PI / 2), V.Select(middle, V.Of(Math.PI / 4), V.Of(0)));
        var z = above / below;
        var s = z * z;
        // (atan(z) / z - 1) / s in s = z^2 up to tan(pi / 8)^2
        var p = V.MultiplyAdd(V.Of(-0.0644983522), s, V.Of(0.107430997));
        p = V.MultiplyAdd(p, s, V.Of(-0.142638971));
        p = V.MultiplyAdd(p, s, V.Of(0.199995388));
        p = V.MultiplyAdd(p, s, V.Of(-0.333333318));
        var y = start + V.MultiplyAdd(p * s, z, z);
        return V.Select(V.Less(x, V.Of(0)), -y, y);
    }

    /// <summary>e^x - 1 in double precision.</summary>
    public static double Expm1(double x) => x < -40 ? -1 : 2 * Math.Sinh(x / 2) * Math.Exp(x / 2);

    /// <summary>log(1 + x) in double precision.</summary>
    public static double Log1p(double x)
    {
        double sum = 1 + x, lost = x - (sum - 1);
        return Math.Log(sum) + (Math.Abs(lost) > 0 ? lost / sum : 0);
    }

    /// <summary>The error function in double precision, within 2e-15: all terms of the series are positive.</summary>
    /// <remarks>erf(x) = 2 / sqrt(pi) e^(-x^2) sum over n of 2^n x^(2n+1) / (1 * 3 * ... * (2n + 1)).</remarks>
    public static double Erf(double x)
    {
        if (double.IsNaN(x) || Math.Abs(x) > 6)
            return double.IsNaN(x) ? x : Math.Sign(x);
        double term = x, sum = x;
        for (int n = 1; Math.Abs(term) > 1e-17 * Math.Abs(sum); n++)
        {
            term *= 2 * x * x / ((2 * n) + 1);
            sum += term;
        }

        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum;
    }
}
