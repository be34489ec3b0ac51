using DtoKd.Engine;

namespace DtoKd.Training.Loop;

/// <summary>The Gram matrix of the objectives' gradients at the shared representation.</summary>
internal static class FeatureGram
{
    /// <summary>
    /// Adds a part of the batch. The representation of different images are different coordinates, so the batch's matrix is the
    /// sum over its parts, and no part has to be kept.
    /// </summary>
    /// <param name="step">Where the losses were recorded.</param>
    /// <param name="losses">The part's losses, means over its images.</param>
    /// <param name="share">The part's share of the batch's images.</param>
    /// <param name="gram">[K, K] row-major, added to.</param>
    public static void Add(Step step, TaskLosses losses, double share, Span<double> gram)
    {
        int objectives = losses.Values.Count;
        using var scope = step.Scope();
        IReadOnlyList<Tensor?>[] gradients =
            [.. losses.Values.Select(loss => step.Tape.GradientsAt(loss, losses.Representation))];
        for (int t = 0; t < losses.Representation.Count; t++)
        {
            int[] reached = [.. Enumerable.Range(0, objectives).Where(k => gradients[k][t] is not null)];
            if (reached.Length == 0)
                continue;
            Tensor[] flat = Array.ConvertAll(reached, k => Op.Reshape(gradients[k][t]!, [checked((int)gradients[k][t]!.Count)]));
            double[] products = new double[reached.Length * reached.Length];
            Flat.Gram(flat, [new FlatRange(0, flat[0].Count)], products);
            for (int i = 0; i < products.Length; i++)
                gram[(reached[i / reached.Length] * objectives) + reached[i % reached.Length]] += share * share * products[i];
        }
    }
}
