namespace DtoKd.Training.Balancing;

// g = Σ α_k g_k with Σ α_k = 1 and ⟨g, u_k⟩ the same for every k       (Liu et al., "Towards impartial multi-task learning",
//                                                                       2021, eq. 6)
//   u_k = g_k/‖g_k‖      C_ij = ⟨u_i, u_j⟩
//   C y = 1              gives Σ y_k u_k, whose projections are all 1;   α_k = (y_k/‖g_k‖) / Σ (y_j/‖g_j‖)
//
// The paper eliminates α_1 and solves K − 1 equations in the differences; this is the same α, with no gradient treated apart.
// For two objectives α_1 = ‖g_2‖/(‖g_1‖ + ‖g_2‖): the bisector. From three on a weight can be negative.

/// <summary>IMTL-G: the direction with the same projection onto every gradient.</summary>
public sealed class ImtlG : GramBalancer
{
    // Parallel or opposite gradients make C singular; this much on the diagonal picks the solution nearest to even.
    private const double Ridge = 1e-8;

    // A pivot of C that is left of rounding only.
    private const double LeastPivot = 1e-12;

    private readonly double[] _system, _norms;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    public ImtlG(int objectives)
        : base("imtl-g", objectives)
    {
        _system = new double[objectives * objectives];
        _norms = new double[objectives];
    }

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        for (int k = 0; k < n; k++)
            _norms[k] = Math.Sqrt(gram[k * n + k]);
        // Of two unit gradients neither is before the other, however nearly parallel they are.
        if (n == 2)
            pi.Fill(1);
        else if (!SolveCosines(gram, pi, 0))
            SolveCosines(gram, pi, Ridge);
        double sum = 0, size = 0;
        for (int k = 0; k < n; k++)
        {
            pi[k] /= _norms[k];
            sum += pi[k];
            size += Math.Abs(pi[k]);
        }

        for (int k = 0; k < n; k++)
        {
            // Where the weights cancel no multiple of them sums to 1; even ones of the unit gradients then stand in.
            pi[k] = Math.Abs(sum) > LeastPivot * size ? pi[k] / sum : 1 / (_norms[k] * n);
        }

        pi.CopyTo(coefficients);
    }

    private bool SolveCosines(ReadOnlySpan<double> gram, Span<double> y, double ridge)
    {
        int n = y.Length;
        for (int i = 0; i < n; i++)
        {
            y[i] = 1;
            for (int j = 0; j < n; j++)
                _system[i * n + j] = (i == j ? 1 + ridge : gram[i * n + j] / (_norms[i] * _norms[j]));
        }

        return SmallSystem.Solve(_system.AsSpan(0, n * n), y, LeastPivot);
    }
}
