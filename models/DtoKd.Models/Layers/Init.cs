using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>How parameters get their first values; as timm initialises the same networks.</summary>
public static class Init
{
    /// <summary>All zeros.</summary>
    public static readonly Initialiser Zeros = (values, _, _) => values.Clear();

    /// <summary>All ones.</summary>
    public static readonly Initialiser Ones = (values, _, _) => values.Fill(1);

    /// <summary>A normal distribution of deviation 0.02, cut off at -2 and 2: transformers' weights and tokens.</summary>
    public static readonly Initialiser TruncatedNormal = TruncatedNormalOf(0.02);

    /// <summary>A normal distribution cut off at -2 and 2.</summary>
    public static Initialiser TruncatedNormalOf(double deviation) =>
        (values, _, random) => random.FillTruncatedNormal(values, 0, (float)deviation, -2, 2);

    /// <summary>A normal distribution of deviation 0.01: the classifier of convolutional networks.</summary>
    public static readonly Initialiser Normal001 = (values, _, random) => random.FillNormal(values, 0, 0.01f);

    /// <summary>
    /// A normal distribution of variance 2 / fan-out, the fan-out being outputs times kernel area over groups: keeps the
    /// variance of gradients through a convolution and a ReLU (He et al. 2015).
    /// </summary>
    public static Initialiser HeFanOut(int groups = 1) => (values, shape, random) =>
    {
        double fanOut = (double)shape[0] * shape.CountOf(2, shape.Rank) / groups;
        random.FillNormal(values, 0, (float)Math.Sqrt(2 / fanOut));
    };

    /// <summary>A normal distribution of variance 2 / fan-in: keeps the variance of activations instead (He et al. 2015).</summary>
    public static readonly Initialiser HeFanIn = (values, shape, random) =>
        random.FillNormal(values, 0, (float)Math.Sqrt(2.0 / shape.CountOf(1, shape.Rank)));

    /// <summary>A normal distribution of variance 1 / fan-in, cut off at two deviations: patch embeddings (LeCun et al. 1998).</summary>
    public static readonly Initialiser LeCun = (values, shape, random) =>
    {
        // A normal variable cut off at two deviations has 0.8796 of the deviation of the whole one.
        float deviation = (float)(Math.Sqrt(1.0 / shape.CountOf(1, shape.Rank)) / 0.87962566103423978);
        random.FillTruncatedNormal(values, 0, deviation, -2 * deviation, 2 * deviation);
    };

    /// <summary>Uniform within 1 / sqrt(fan-in) of zero: PyTorch's default, for projectors.</summary>
    public static readonly Initialiser UniformFanIn = (values, shape, random) =>
    {
        float bound = 1 / MathF.Sqrt(shape.CountOf(1, shape.Rank));
        random.FillUniform(values);
        foreach (ref float value in values)
            value = ((2 * value) - 1) * bound;
    };
}
