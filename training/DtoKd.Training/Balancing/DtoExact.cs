namespace DtoKd.Training.Balancing;

// π* ∈ argmin ½‖Jπ‖² over the simplex,  J = [∇log L_1 … ∇log L_K],  g* = Jπ*                  (DTO-KD, eq. 9 and Theorem 3.1)
//
//   g_k = ∇log L_k = ∇L_k / L_k                the trainer hands in G of the raw ∇L_k; the logarithm is taken here, in double
//   G_ij = ⟨∇L_i, ∇L_j⟩ / (L_i L_j)            over the shared parameters
//   g* = Σ π_k ∇log L_k = Σ (π_k / L_k) ∇L_k   so coefficient_k = π_k / L_k
//
// Neither g* nor π changes when a loss is multiplied by a constant. An objective whose gradient vanishes would be the shortest
// point of the hull and take all the weight, and the step would vanish with it (‖g*‖ ≤ min ‖g_k‖) although the others could
// still improve; it is left out of that step.

/// <summary>
/// DTO-KD with the weights solved exactly at every step: the simplex combination of the log-loss gradients of smallest norm
/// (DTO-KD, eq. 9; Theorem 3.1 for two objectives). Costs one backward pass per objective.
/// </summary>
public class DtoExact : Balancer
{
    /// <summary>
    /// An objective counts as vanished when ‖∇log L_k‖ is at most this share of the largest. Ratios met in practice reach down to
    /// 1e-3; a millionth is what float32 rounding leaves of a gradient that should be zero.
    /// </summary>
    public const double DefaultVanishRatio = 1e-6;

    private readonly double _lossFloor, _vanishRatio;
    private readonly double[] _losses, _gram, _norms, _part;
    private readonly int[] _kept;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
    /// <param name="vanishRatio">See <see cref="DefaultVanishRatio"/>; 0 drops exact zeros only, and it is below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public DtoExact(int objectives, double lossFloor = LossFloor.Default, double vanishRatio = DefaultVanishRatio)
        : this("exact", objectives, lossFloor, vanishRatio)
    {
    }

    private protected DtoExact(string name, int objectives, double lossFloor, double vanishRatio)
        : base(name, objectives)
    {
        _lossFloor = LossFloor.Check(lossFloor);
        _vanishRatio = VanishedObjectives.CheckRatio(vanishRatio);
        _losses = new double[objectives];
        _gram = new double[objectives * objectives];
        _norms = new double[objectives];
        _part = new double[objectives];
        _kept = new int[objectives];
    }

    /// <inheritdoc/>
    public override BalancerNeeds Needs => BalancerNeeds.Gram;

    /// <inheritdoc/>
    public override string ToString() => Text($"{Name} (loss floor {_lossFloor}, vanish ratio {_vanishRatio})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        LossFloor.Apply(_lossFloor, signals.Losses, _losses, weights.Floored);
        for (int k = 0; k < Objectives; k++)
            _norms[k] = Math.Sqrt(Math.Max(0, signals.Gram[k * Objectives + k])) / _losses[k];
        int kept = VanishedObjectives.Drop(_vanishRatio, _norms, weights.Dropped, _kept);
        for (int s = 0; s < kept; s++)
        {
            for (int t = 0; t < kept; t++)
            {
                int i = _kept[s], j = _kept[t];
                _gram[s * kept + t] = signals.Gram[i * Objectives + j] / _losses[i] / _losses[j];
            }
        }
        Span<double> part = _part.AsSpan(0, kept);
        MinNorm.Solve(_gram.AsSpan(0, kept * kept), part);
        for (int s = 0; s < kept; s++)
        {
            int k = _kept[s];
            weights.Pi[k] = part[s];
            weights.Coefficients[k] = part[s] / _losses[k];
            weights.Clamped |= part[s] <= 0;
        }
    }
}
