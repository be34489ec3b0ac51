using DtoKd.Engine;

namespace DtoKd.Training.Balancing;

// for each i, with j ≠ i in random order:  g_i' ← g_i' − min(0, ⟨g_i', g_j⟩)/‖g_j‖² · g_j;   step Σ g_i'     (Yu et al.,
//                                                                "Gradient surgery for multi-task learning", 2020, algorithm 1)
//   g_i' = Σ_m a_m g_m     so ⟨g_i', g_j⟩ = (aG)_j, and a projection changes the one number a_j
//   g_j                    the original gradient, never one already projected

/// <summary>
/// PCGrad: each gradient loses its component against every other that it conflicts with, and the results are summed.
/// </summary>
/// <remarks>The orders of a step are a function of the seed and of the number of steps so far, which is the state.</remarks>
public sealed class PcGrad : GramBalancer
{
    private static readonly uint Stream = PhiloxStream.StreamOf("balancing.pcgrad");

    private readonly ulong _seed;
    private readonly int[] _order;
    private readonly double[] _part;
    private long _step;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="seed">Decides the orders of projection.</param>
    public PcGrad(int objectives, ulong seed = 0)
        : base("pcgrad", objectives)
    {
        _seed = seed;
        _order = new int[objectives];
        _part = new double[objectives];
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState() => new Dictionary<string, double[]> { ["step"] = [_step] };

    /// <summary>Adds what is left of gradient i after it was projected on the others.</summary>
    /// <param name="gram">[n, n] row-major Gram matrix.</param>
    /// <param name="i">The gradient.</param>
    /// <param name="order">The others in the order of projection; i itself among them is passed over.</param>
    /// <param name="coefficients">[n], to add to.</param>
    /// <param name="part">[n], workspace.</param>
    internal static void AddProjected(
        ReadOnlySpan<double> gram, int i, ReadOnlySpan<int> order, Span<double> coefficients, Span<double> part)
    {
        int n = coefficients.Length;
        part.Clear();
        part[i] = 1;
        foreach (int j in order)
        {
            if (j == i)
                continue;
            double along = 0;
            for (int m = 0; m < n; m++)
                along += part[m] * gram[m * n + j];
            if (along < 0)
                part[j] -= along / gram[j * n + j];
        }

        for (int m = 0; m < n; m++)
            coefficients[m] += part[m];
    }

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        var order = _order.AsSpan(0, n);
        var random = new PhiloxStream(_seed, Stream, (ulong)_step++);
        ulong drawn = 0;
        coefficients.Clear();
        for (int i = 0; i < n; i++)
        {
            for (int m = 0; m < n; m++)
            {
                int other = (int)random.Below(drawn++, (uint)m + 1);
                order[m] = order[other];
                order[other] = m;
            }

            AddProjected(gram, i, order, coefficients, _part.AsSpan(0, n));
        }

        coefficients.CopyTo(pi);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state) => _step = (long)state["step"][0];
}
