using System.Text;
using DtoKd.Engine;

namespace DtoKd.Models.Tests.Fixtures;

/// <summary>
/// The rule that gives every tensor of the model fixtures its values, so that no weights need to be stored: a hash of the
/// tensor's name and the element's index (tests/Fixtures/README.md).
/// </summary>
internal sealed class WeightRule(ulong seed)
{
    private const ulong FnvBasis = 14695981039346656037;
    private const ulong FnvPrime = 1099511628211;

    /// <summary>Element <paramref name="index"/> of the tensor <paramref name="name"/>, in [-1, 1].</summary>
    public double Value(string name, long index) => Value(Start(name), index);

    /// <summary>The values of a tensor, by the last part of its name.</summary>
    public float[] Tensor(string name, Shape shape)
    {
        ulong start = Start(name);
        string last = name[(name.LastIndexOf('.') + 1)..];
        double fanIn = shape.Rank >= 2 ? shape.CountOf(1, shape.Rank) : 0;
        var (centre, scale) = last switch
        {
            "running_mean" => (0.0, 0.1),
            "running_var" => (1.0, 0.5),
            "num_batches_tracked" => (0.0, 0.0),
            "relative_position_bias_table" or "cls_token" or "dist_token" or "pos_embed" => (0.0, 0.5),
            "bias" => (0.0, 0.1),
            _ when shape.Rank >= 2 => (0.0, Math.Sqrt(3 / fanIn)),
            _ => (1.0, 0.2),
        };
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(centre + (scale * Value(start, i)));
        return values;
    }

    /// <summary>The input of a model: coarse blocks of 8 x 8 pixels with finer noise.</summary>
    public float[] Image(string model, Shape shape)
    {
        ulong fine = Start($"input:{model}:fine"), coarse = Start($"input:{model}:coarse");
        int height = shape[2], width = shape[3], rows = (height + 7) / 8, columns = (width + 7) / 8;
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
        {
            int x = i % width, y = i / width % height, plane = i / width / height;
            long block = (((long)plane * rows) + (y / 8)) * columns + (x / 8);
            values[i] = (float)((1.5 * Value(coarse, block)) + (0.5 * Value(fine, i)));
        }

        return values;
    }

    private static double Value(ulong start, long index)
    {
        ulong z = start + ((ulong)(index + 1) * 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        z ^= z >> 31;
        return ((z >> 40) * Math.Pow(2, -23)) - 1;
    }

    private ulong Start(string name)
    {
        ulong hash = FnvBasis;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
            hash = (hash ^ b) * FnvPrime;
        return hash ^ seed;
    }
}
