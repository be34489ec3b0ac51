using DtoKd.Engine;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Fits tables of positions to another image or window size, as timm does: position embeddings by bicubic interpolation with
/// antialiasing, tables of relative positions linearly between places in geometric progression, dense where positions are close.
/// </summary>
internal static class Resizing
{
    /// <summary>Position embeddings [1, prefix + rows x columns, D]; those of the class and distillation tokens stay.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="values">The old ones, of a square grid of patches.</param>
    /// <param name="size">D.</param>
    /// <param name="prefix">Tokens before the patches.</param>
    /// <param name="rows">Rows of the new grid.</param>
    /// <param name="columns">Columns of the new grid.</param>
    public static float[] Positions(Device device, float[] values, int size, int prefix, int rows, int columns)
    {
        int side = (int)Math.Sqrt((values.Length / size) - prefix);
        using var step = Step.Evaluation(device);
        var old = step.From<float>(values.AsSpan(prefix * size), [1, side, side, size]);
        var resized = Op.Interpolate(
            Op.Permute(old, 0, 3, 1, 2), (rows, columns), ResizeMode.Bicubic, alignCorners: false, antialias: true);
        return [.. values.AsSpan(0, prefix * size), .. Op.Permute(resized, 0, 2, 3, 1).ToArray<float>()];
    }

    /// <summary>A table [(2w - 1)^2, heads] of relative positions for another window.</summary>
    /// <param name="values">The old one.</param>
    /// <param name="heads">Attention heads.</param>
    /// <param name="side">The new 2w - 1.</param>
    public static float[] RelativeBias(float[] values, int heads, int side)
    {
        int old = (int)Math.Sqrt(values.Length / heads);
        double[] places = GeometricPlaces(old, side);
        var weights = Enumerable.Range(-(side / 2), side).Select(at => Between(places, at)).ToArray();
        var result = new float[side * side * heads];
        for (int y = 0; y < side; y++)
        {
            for (int x = 0; x < side; x++)
            {
                var (top, down) = weights[y];
                var (left, right) = weights[x];
                for (int head = 0; head < heads; head++)
                {
                    double At(int row, int column) => values[(((row * old) + column) * heads) + head];
                    result[(((y * side) + x) * heads) + head] = (float)(
                        ((1 - down) * (((1 - right) * At(top, left)) + (right * At(top, left + 1))))
                        + (down * (((1 - right) * At(top + 1, left)) + (right * At(top + 1, left + 1)))));
                }
            }
        }
        return result;
    }

    /// <summary>
    /// Where the old positions lie among the new ones: 0 in the middle, and to both sides 1, 1 + q, 1 + q + q^2, ... with the q for
    /// which the last reaches the new edge.
    /// </summary>
    private static double[] GeometricPlaces(int old, int side)
    {
        const double LeastRatio = 1.01, MostRatio = 1.5, Accuracy = 1e-6;
        int half = old / 2;
        double low = LeastRatio, high = MostRatio, q = low;
        while (high - low > Accuracy)
        {
            q = (low + high) / 2;
            if ((1 - Math.Pow(q, half)) / (1 - q) > side / 2)
                high = q;
            else
                low = q;
        }

        var places = new double[old];
        double place = 0, gap = 1;
        for (int i = 1; i <= half; i++, gap *= q)
        {
            place += gap;
            places[half + i] = place;
            places[half - i] = -place;
        }
        return places;
    }

    /// <summary>The interval of the places that a position lies in, and how far; beyond the ends the last interval goes on.</summary>
    private static (int Interval, double Share) Between(double[] places, double at)
    {
        int i = Math.Clamp(Array.FindLastIndex(places, place => place <= at), 0, places.Length - 2);
        return (i, (at - places[i]) / (places[i + 1] - places[i]));
    }
}
