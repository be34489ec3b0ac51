namespace DtoKd.Training.Balancing;

/// <summary>The softmax that rules with logits share.</summary>
internal static class Softmax
{
    /// <summary>y = softmax(x); y may be x.</summary>
    public static void Of(ReadOnlySpan<double> x, Span<double> y)
    {
        double largest = double.NegativeInfinity, sum = 0;
        foreach (double value in x)
            largest = Math.Max(largest, value);
        for (int k = 0; k < x.Length; k++)
            sum += y[k] = Math.Exp(x[k] - largest);
        for (int k = 0; k < y.Length; k++)
            y[k] /= sum;
    }
}
