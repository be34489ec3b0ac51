using DtoKd.Engine;

namespace DtoKd.Training.Loop;

/// <summary>
/// A part of the Gram matrix of the objectives' gradients at the shared representation. The representations of different images are
/// different coordinates, so the batch's matrix is the sum over its parts, and no part has to be kept.
/// </summary>
/// <param name="Place">Where the products are among the readings.</param>
/// <param name="Reached">The objectives whose gradients they are.</param>
/// <param name="Share">The part's share of the batch's images.</param>
internal sealed record FeatureProducts(int Place, int[] Reached, double Share)
{
    /// <summary>Takes the products of a part of the batch, for each tensor of the representation.</summary>
    /// <param name="readings">Where they go.</param>
    /// <param name="step">Where the losses were recorded.</param>
    /// <param name="losses">The part's losses, means over its images.</param>
    /// <param name="share">The part's share of the batch's images.</param>
    public static List<FeatureProducts> Take(Readings readings, Step step, TaskLosses losses, double share)
    {
        int objectives = losses.Values.Count;
        var taken = new List<FeatureProducts>();
        using var scope = step.Scope();
        IReadOnlyList<Tensor?>[] gradients =
            [.. losses.Values.Select(loss => step.Tape.GradientsAt(loss, losses.Representation))];
        for (int t = 0; t < losses.Representation.Count; t++)
        {
            int[] reached = [.. Enumerable.Range(0, objectives).Where(k => gradients[k][t] is not null)];
            if (reached.Length == 0)
                continue;
            Tensor[] flat = Array.ConvertAll(reached, k => Op.Reshape(gradients[k][t]!, [checked((int)gradients[k][t]!.Count)]));
            int place = readings.AddGram(flat, [new FlatRange(0, flat[0].Count)]);
            taken.Add(new FeatureProducts(place, reached, share));
        }

        return taken;
    }

    /// <summary>Adds the products to the batch's matrix.</summary>
    /// <param name="readings">Where they are.</param>
    /// <param name="gram">[K, K] row-major.</param>
    /// <param name="objectives">K.</param>
    public void AddTo(Readings readings, Span<double> gram, int objectives)
    {
        double[] products = new double[Reached.Length * Reached.Length];
        readings.CopyGram(Place, products);
        for (int i = 0; i < products.Length; i++)
            gram[(Reached[i / Reached.Length] * objectives) + Reached[i % Reached.Length]] += Share * Share * products[i];
    }
}
