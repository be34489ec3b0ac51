namespace DtoKd.Training.Verification;

/// <summary>Makes a failing pair of gradients small: fewer coordinates, then whole numbers, then smaller ones.</summary>
internal static class Shrinking
{
    private const int Rounds = 200;

    /// <summary>Shrinks greedily as long as the pair still fails.</summary>
    /// <param name="g1">A gradient.</param>
    /// <param name="g2">Another one of the same length.</param>
    /// <param name="fails">Whether a pair still is an example.</param>
    public static CounterExample Shrink(double[] g1, double[] g2, Func<double[], double[], bool> fails)
    {
        for (int round = 0; round < Rounds; round++)
        {
            bool smaller = false;
            foreach (var (h1, h2) in Candidates(g1, g2))
            {
                if (!fails(h1, h2))
                    continue;
                (g1, g2, smaller) = (h1, h2, true);
                break;
            }
            if (!smaller)
                break;
        }
        return new CounterExample(g1, g2);
    }

    private static IEnumerable<(double[] G1, double[] G2)> Candidates(double[] g1, double[] g2)
    {
        int n = g1.Length;
        if (n > 2)
            yield return (g1[..(n / 2)], g2[..(n / 2)]);
        if (n > 2)
            yield return (g1[(n / 2)..], g2[(n / 2)..]);
        for (int i = 0; i < n && n > 1; i++)
            yield return (Without(g1, i), Without(g2, i));
        double largest = Math.Max(g1.Max(Math.Abs), g2.Max(Math.Abs));
        if (largest is not (>= 1 and < 10) && largest > 0 && double.IsFinite(largest))
        {
            double unit = Math.Pow(10, Math.Floor(Math.Log10(largest)));
            yield return (Changed(g1, x => x / unit), Changed(g2, x => x / unit));
        }
        if (g1.Concat(g2).Any(x => x != Math.Round(x)))
            yield return (Changed(g1, Math.Round), Changed(g2, Math.Round));
        for (int i = 0; i < 2 * n; i++)
        {
            double x = i < n ? g1[i] : g2[i - n];
            foreach (double y in (double[])[0, Math.Round(x), x - Math.Sign(x)])
            {
                if (Math.Abs(y) < Math.Abs(x))
                    yield return i < n ? (With(g1, i, y), g2) : (g1, With(g2, i - n, y));
            }
            // A small number is not a simple one; 1 is.
            if (x != 0 && Math.Abs(x) < 1)
                yield return i < n ? (With(g1, i, Math.Sign(x)), g2) : (g1, With(g2, i - n, Math.Sign(x)));
            if (x < 0)
                yield return i < n ? (With(g1, i, -x), g2) : (g1, With(g2, i - n, -x));
        }
    }

    private static double[] Without(double[] g, int index) => [.. g[..index], .. g[(index + 1)..]];

    private static double[] With(double[] g, int index, double value)
    {
        double[] changed = [.. g];
        changed[index] = value;
        return changed;
    }

    private static double[] Changed(double[] g, Func<double, double> change) => Array.ConvertAll(g, x => change(x));
}
