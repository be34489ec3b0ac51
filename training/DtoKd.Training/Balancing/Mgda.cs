namespace DtoKd.Training.Balancing;

// π* ∈ argmin ‖Σ π_k ĝ_k‖² over the simplex,  step Σ π*_k ∇L_k               (Sener and Koltun, "Multi-task learning as
//                                                                             multi-objective optimization", 2018, eq. 3)
//   ĝ_k = ∇L_k / s_k     s_k = 1 (none), ‖∇L_k‖ (l2), L_k (loss), L_k ‖∇L_k‖ (loss+)
//
// As in the authors' code the scaling serves to find π only; the step is taken along the raw gradients. With "loss" π is that of
// DTO-KD (DtoExact) and the step differs from it by the missing 1/L_k.

/// <summary>What gradients are divided by before MGDA looks for the shortest mixture.</summary>
public enum MgdaNormalisation
{
    /// <summary>Nothing: the raw gradients.</summary>
    None,

    /// <summary>Their norm.</summary>
    L2,

    /// <summary>The loss.</summary>
    Loss,

    /// <summary>The loss times the norm.</summary>
    LossPlus,
}

/// <summary>
/// MGDA: the simplex weights whose mixture of (normalised) gradients is shortest, applied to the raw gradients. Solved exactly.
/// </summary>
public sealed class Mgda : GramBalancer
{
    private readonly MgdaNormalisation _normalisation;
    private readonly double _lossFloor;
    private readonly double[] _scale, _gram;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="normalisation">What gradients are divided by first.</param>
    /// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public Mgda(int objectives, MgdaNormalisation normalisation = MgdaNormalisation.None, double lossFloor = LossFloor.Default)
        : base(NameOf(normalisation), objectives)
    {
        _normalisation = normalisation;
        _lossFloor = LossFloor.Check(lossFloor);
        _scale = new double[objectives];
        _gram = new double[objectives * objectives];
    }

    /// <inheritdoc/>
    protected override bool MarksBorder => true;

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        for (int k = 0; k < n; k++)
        {
            double loss = _normalisation is MgdaNormalisation.Loss or MgdaNormalisation.LossPlus
                ? Math.Max(losses[k], _lossFloor)
                : 1;
            _scale[k] = _normalisation is MgdaNormalisation.L2 or MgdaNormalisation.LossPlus ? loss * Math.Sqrt(gram[k * n + k]) : loss;
        }

        var scaled = _gram.AsSpan(0, n * n);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                scaled[i * n + j] = gram[i * n + j] / _scale[i] / _scale[j];
        }

        MinNorm.Solve(scaled, pi);
        pi.CopyTo(coefficients);
    }

    private static string NameOf(MgdaNormalisation normalisation) => normalisation switch
    {
        MgdaNormalisation.None => "mgda",
        MgdaNormalisation.L2 => "mgda-l2",
        MgdaNormalisation.Loss => "mgda-loss",
        MgdaNormalisation.LossPlus => "mgda-loss+",
        _ => throw new ArgumentOutOfRangeException(nameof(normalisation), normalisation, "unknown normalisation of MGDA"),
    };
}
