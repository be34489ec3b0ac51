namespace DtoKd.Engine;

/// <summary>
/// The weights that resize one axis: new pixel i is the sum over k below Length[i] of Weights[i Taps + k] times the old pixel
/// Start[i] + k.
/// </summary>
internal sealed class ResampleAxis
{
    // Keys' free parameter: what PyTorch takes, and what Pillow takes, which is the one of third order.
    private const double Sharp = -0.75;
    private const double Smooth = -0.5;

    private ResampleAxis(int size, int count, int taps)
    {
        Size = size;
        Taps = taps;
        Start = new int[count];
        Length = new int[count];
        Weights = new double[(long)count * taps];
    }

    /// <summary>Old pixels.</summary>
    public int Size { get; }

    /// <summary>New pixels.</summary>
    public int Count => Start.Length;

    /// <summary>The distance between the weights of neighbouring pixels.</summary>
    public int Taps { get; }

    public int[] Start { get; }

    public int[] Length { get; }

    public double[] Weights { get; }

    /// <summary>The weights in single precision.</summary>
    public float[] Singles() => Array.ConvertAll(Weights, weight => (float)weight);

    /// <summary>
    /// Weights from <paramref name="size"/> to <paramref name="count"/> pixels, where <paramref name="to"/> new pixels are as wide
    /// as <paramref name="from"/> old ones. The quotient is never formed: positions that are whole numbers come out as such.
    /// </summary>
    public static ResampleAxis Of(
        int size, int count, double to, double from, ResizeMode mode, bool alignCorners, bool antialias)
    {
        if (antialias)
            return Antialiased(size, count, to, from, mode);
        var axis = new ResampleAxis(size, count, mode switch { ResizeMode.Nearest => 1, ResizeMode.Bilinear => 2, _ => 4 });
        for (int i = 0; i < count; i++)
        {
            double position = mode == ResizeMode.Nearest ? i * from / to
                : !alignCorners ? ((i + 0.5) * from / to) - 0.5
                : count > 1 ? (double)i * (size - 1) / (count - 1) : 0;
            if (mode == ResizeMode.Bilinear)
                position = Math.Max(0, position);
            int pixel = (int)Math.Floor(position);
            double rest = position - pixel;
            switch (mode)
            {
                case ResizeMode.Nearest:
                    axis.Set(i, pixel, [1]);
                    break;
                case ResizeMode.Bilinear:
                    axis.Set(i, pixel, [1 - rest, rest]);
                    break;
                default:
                    double[] cubic = [Cubic(1 + rest, Sharp), Cubic(rest, Sharp), Cubic(1 - rest, Sharp), Cubic(2 - rest, Sharp)];
                    axis.Set(i, pixel - 1, cubic);
                    break;
            }
        }

        return axis;
    }

    /// <summary>The kernel is as wide as a new pixel, if that is wider than an old one, and cut off at the image's edge.</summary>
    private static ResampleAxis Antialiased(int size, int count, double to, double from, ResizeMode mode)
    {
        double scale = from / to, width = Math.Max(1, scale);
        double support = (mode == ResizeMode.Bilinear ? 1 : 2) * width;
        var axis = new ResampleAxis(size, count, Math.Min(size, (int)Math.Ceiling(2 * support) + 1));
        for (int i = 0; i < count; i++)
        {
            double centre = (i + 0.5) * from / to;
            int start = Math.Max(0, (int)(centre - support + 0.5)), end = Math.Min(size, (int)(centre + support + 0.5));
            var weights = new double[end - start];
            for (int k = 0; k < weights.Length; k++)
            {
                double distance = Math.Abs((start + k + 0.5 - centre) / width);
                weights[k] = mode == ResizeMode.Bilinear ? Math.Max(0, 1 - distance) : Cubic(distance, Smooth);
            }

            double sum = weights.Sum();
            axis.Set(i, start, Array.ConvertAll(weights, weight => weight / sum));
        }

        return axis;
    }

    /// <summary>Weights that lie beyond an edge are the edge pixel's.</summary>
    private void Set(int i, int first, ReadOnlySpan<double> weights)
    {
        int start = Math.Clamp(first, 0, Size - 1);
        Start[i] = start;
        Length[i] = Math.Clamp(first + weights.Length - 1, 0, Size - 1) - start + 1;
        for (int k = 0; k < weights.Length; k++)
            Weights[((long)i * Taps) + Math.Clamp(first + k, 0, Size - 1) - start] += weights[k];
    }

    private static double Cubic(double distance, double a) => distance switch
    {
        < 1 => ((((a + 2) * distance) - (a + 3)) * distance * distance) + 1,
        < 2 => (((((distance - 5) * distance) + 8) * distance) - 4) * a,
        _ => 0,
    };
}
