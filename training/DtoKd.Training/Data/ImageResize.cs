namespace DtoKd.Training.Data;

/// <summary>
/// Resizing of bytes by Keys' cubic with a = -0.5, widened when the image shrinks: along rows, then along columns, each rounded to
/// bytes, with weights of 22 binary places. These are Pillow's choices for 8-bit images, so that images come out as its users'
/// networks were given them.
/// </summary>
internal static class ImageResize
{
    private const int Places = 22;
    private const double A = -0.5, Reach = 2;

    /// <summary>Resizes the shorter side to a size, keeping the proportions, and cuts a square out of the middle.</summary>
    /// <param name="pixels">[height, width, 3].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="shorter">The shorter side afterwards, at least <paramref name="crop"/>.</param>
    /// <param name="crop">The square's side.</param>
    /// <returns>[3, crop, crop].</returns>
    public static byte[] ShorterSideThenCrop(byte[] pixels, int height, int width, int shorter, int crop)
    {
        int least = Math.Min(height, width);
        int newHeight = (int)((long)shorter * height / least), newWidth = (int)((long)shorter * width / least);
        var columns = Axis(width, newWidth, Middle(newWidth, crop), crop);
        var rows = Axis(height, newHeight, Middle(newHeight, crop), crop);
        const int Channels = 3;
        // Only the rows that the square needs.
        int from = rows[0].First, to = rows[^1].First + rows[^1].Weights.Length;
        var narrow = new byte[(to - from) * crop * Channels];
        for (int y = from; y < to; y++)
        {
            for (int x = 0; x < crop; x++)
            {
                for (int c = 0; c < Channels; c++)
                {
                    int start = (y * width + columns[x].First) * Channels + c;
                    narrow[((y - from) * crop + x) * Channels + c] = Sum(columns[x].Weights, pixels, start, Channels);
                }
            }
        }

        var result = new byte[Channels * crop * crop];
        for (int y = 0; y < crop; y++)
        {
            for (int x = 0; x < crop; x++)
            {
                for (int c = 0; c < Channels; c++)
                {
                    int start = ((rows[y].First - from) * crop + x) * Channels + c;
                    result[(c * crop + y) * crop + x] = Sum(rows[y].Weights, narrow, start, crop * Channels);
                }
            }
        }
        return result;
    }

    // Python's round, as torchvision cuts.
    private static int Middle(int size, int crop) => (int)Math.Round((size - crop) / 2.0, MidpointRounding.ToEven);

    private static byte Sum(int[] weights, byte[] values, int start, int stride)
    {
        int sum = 1 << (Places - 1);
        for (int i = 0; i < weights.Length; i++)
            sum += weights[i] * values[start + i * stride];
        return (byte)Math.Clamp(sum >> Places, byte.MinValue, byte.MaxValue);
    }

    /// <summary>For some new pixels along an axis, the old ones that they are made of.</summary>
    private static (int First, int[] Weights)[] Axis(int size, int newSize, int skip, int count)
    {
        double scale = (double)size / newSize, widening = Math.Max(1, scale), reach = Reach * widening;
        var axis = new (int, int[])[count];
        for (int i = 0; i < count; i++)
        {
            double centre = (skip + i + 0.5) * scale;
            int first = Math.Max(0, (int)(centre - reach + 0.5)), end = Math.Min(size, (int)(centre + reach + 0.5));
            var weights = new double[end - first];
            for (int k = 0; k < weights.Length; k++)
                weights[k] = Cubic((first + k - centre + 0.5) / widening);
            double total = weights.Sum();
            axis[i] = (first, Array.ConvertAll(
                weights, weight => (int)Math.Round(weight / total * (1 << Places), MidpointRounding.AwayFromZero)));
        }
        return axis;
    }

    private static double Cubic(double x)
    {
        x = Math.Abs(x);
        return x < 1 ? ((A + 2) * x - (A + 3)) * x * x + 1 : x < Reach ? (((x - 5) * x + 8) * x - 4) * A : 0;
    }
}
