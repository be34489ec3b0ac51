namespace DtoKd.Training.Logging;

/// <summary>A series of numbers over steps, made small enough and smooth enough to be drawn.</summary>
/// <param name="X">The steps, ascending.</param>
/// <param name="Y">As many values; one that is not finite is a gap.</param>
internal sealed record Curve(double[] X, double[] Y)
{
    private const int SmoothedPoints = 500;
    private const int RawPoints = 1000;

    /// <summary>The window of the moving average is this share of the series.</summary>
    private const double WindowShare = 0.02;

    public int Count => X.Length;

    /// <summary>Whether the series is long enough for an average over 2 % of it to differ from the series.</summary>
    public bool CanSmooth => HalfWindow > 0;

    private int HalfWindow => (int)(Count * WindowShare / 2);

    /// <summary>
    /// At most 1000 points in place of all: the lowest and the highest of every stretch of equal length, in the order they
    /// came, so that no spike is lost.
    /// </summary>
    public Curve Thinned()
    {
        if (Count <= RawPoints)
            return this;
        var kept = new List<int>(RawPoints);
        const int Stretches = RawPoints / 2;
        for (int i = 0; i < Stretches; i++)
        {
            int begin = (int)((long)Count * i / Stretches), end = (int)((long)Count * (i + 1) / Stretches);
            int low = begin, high = begin;
            for (int j = begin + 1; j < end; j++)
            {
                // Written so that a NaN at the start of the stretch gives way to any number.
                low = Y[j] < Y[low] || double.IsNaN(Y[low]) ? j : low;
                high = Y[j] > Y[high] || double.IsNaN(Y[high]) ? j : high;
            }
            kept.Add(Math.Min(low, high));
            if (low != high)
                kept.Add(Math.Max(low, high));
        }
        return At(kept, Y);
    }

    /// <summary>
    /// The centred moving average over 2 % of the series, at 500 places at most. On a logarithmic axis the geometric
    /// mean, which a single spike does not carry away.
    /// </summary>
    public Curve Smoothed(bool logarithmic)
    {
        int half = HalfWindow;
        var sums = new double[Count + 1];
        var counts = new int[Count + 1];
        for (int i = 0; i < Count; i++)
        {
            double value = logarithmic ? Math.Log(Y[i]) : Y[i];
            bool finite = double.IsFinite(value);
            sums[i + 1] = sums[i] + (finite ? value : 0);
            counts[i + 1] = counts[i] + (finite ? 1 : 0);
        }
        var means = new double[Count];
        for (int i = 0; i < Count; i++)
        {
            int begin = Math.Max(0, i - half), end = Math.Min(Count, i + half + 1);
            double mean = (sums[end] - sums[begin]) / (counts[end] - counts[begin]);
            means[i] = logarithmic ? Math.Exp(mean) : mean;
        }
        int points = Math.Min(Count, SmoothedPoints);
        return At(Enumerable.Range(0, points).Select(i => (int)((Count - 1L) * i / Math.Max(1, points - 1))), means);
    }

    private Curve At(IEnumerable<int> indices, double[] values)
    {
        int[] kept = [.. indices];
        return new Curve([.. kept.Select(i => X[i])], [.. kept.Select(i => values[i])]);
    }
}
