namespace DtoKd.Training.Balancing;

// G α = 1/α, α > 0        the Nash bargaining solution of the gradients     (Navon et al., "Multi-task learning as a bargaining
//                                                                            game", 2022, claim 3.1)
//   minimises ½ αᵀGα − Σ log α_k, which is strictly convex; its step has ‖Σ α_k g_k‖² = αᵀGα = K whatever the gradients are
//   C_ij = ⟨u_i, u_j⟩     α_k = z_k/‖g_k‖ with C z = 1/z: well scaled, started at z = 1, solved by damped Newton steps
//   coefficient_k = α_k √‖G‖_F      the authors divide G by its Frobenius norm first, so that the step keeps the gradients' unit

/// <summary>Nash-MTL: the bargaining solution of the objectives; every one gains the same relative improvement.</summary>
public sealed class NashMtl : GramBalancer
{
    // Opposite gradients leave no bargain and z without bound; a millionth of a millionth keeps it finite.
    private const double Ridge = 1e-12;

    private readonly double[] _cosines, _system, _slope, _step;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    public NashMtl(int objectives)
        : base("nash-mtl", objectives)
    {
        _cosines = new double[objectives * objectives];
        _system = new double[objectives * objectives];
        _slope = new double[objectives];
        _step = new double[objectives];
    }

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        double frobenius = 0;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double entry = gram[i * n + j];
                frobenius += entry * entry;
                _cosines[i * n + j] = i == j ? 1 + Ridge : entry / Math.Sqrt(gram[i * n + i] * gram[j * n + j]);
            }
        }

        Bargain(pi);
        double scale = Math.Sqrt(Math.Sqrt(frobenius));
        for (int k = 0; k < n; k++)
        {
            pi[k] *= scale / Math.Sqrt(gram[k * n + k]);
            coefficients[k] = pi[k];
        }
    }

    /// <summary>Solves C z = 1/z.</summary>
    private void Bargain(Span<double> z)
    {
        int n = z.Length;
        z.Fill(1);
        var system = _system.AsSpan(0, n * n);
        var step = _step.AsSpan(0, n);
        for (int round = 0; round < 200; round++)
        {
            // Newton's step and decrement; the function is self-concordant, so a step of 1/(1 + decrement) always descends.
            _cosines.AsSpan(0, n * n).CopyTo(system);
            double worst = 0;
            for (int i = 0; i < n; i++)
            {
                double slope = 1 / z[i];
                for (int j = 0; j < n; j++)
                    slope -= _cosines[i * n + j] * z[j];
                _slope[i] = step[i] = slope;
                worst = Math.Max(worst, Math.Abs(slope * z[i]));
                system[i * n + i] += 1 / (z[i] * z[i]);
            }

            if (worst < 1e-14)
                return;
            double decrement = 0;
            if (!SmallSystem.Solve(system, step, double.Epsilon))
                return;
            for (int i = 0; i < n; i++)
                decrement += _slope[i] * step[i];
            decrement = Math.Sqrt(Math.Max(0, decrement));
            double length = decrement < 0.25 ? 1 : 1 / (1 + decrement);
            for (int i = 0; i < n; i++)
                z[i] += length * step[i];
        }
    }
}
