namespace DtoKd.Training.Balancing;

// w ← step(w, ∂/∂w Σ |w_k‖g_k‖ − t_k|),  t_k = mean_j(w_j‖g_j‖) · r_k^α held constant     (Chen et al., "GradNorm: gradient
//                                                        normalization for adaptive loss balancing", 2018, algorithm 1)
//   r_k = (L_k/L_k(0)) / mean      how much slower than the others objective k falls;   L_k(0) its first loss
//   α                              how strongly that is held against it
//   w                              from 1; after a step at least 1e-3 and rescaled to sum K;   coefficient_k = w_k

/// <summary>
/// GradNorm: weights learned so that weighted gradients have equal norms, larger ones for objectives that lag behind.
/// </summary>
/// <remarks>The authors take the gradients of the last shared layer; here they are those of all shared parameters.</remarks>
public sealed class GradNorm : Balancer
{
    /// <summary>The authors' α.</summary>
    public const double DefaultAlpha = 1.5;

    private const double LeastWeight = 1e-3;

    private readonly double _alpha, _lossFloor;
    private readonly TradeOffSettings _settings;
    private readonly TradeOffOptimiser _optimiser;
    private readonly double[] _weights, _first, _gradient, _rates;

    /// <summary>Makes the rule, weights 1.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="alpha">α, finite.</param>
    /// <param name="settings">What steps the weights; null for the authors' Adam at 0.025.</param>
    /// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public GradNorm(
        int objectives, double alpha = DefaultAlpha, TradeOffSettings? settings = null, double lossFloor = LossFloor.Default)
        : base("gradnorm", objectives)
    {
        if (!double.IsFinite(alpha))
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "the alpha of GradNorm is a finite number");
        _alpha = alpha;
        _lossFloor = LossFloor.Check(lossFloor);
        _settings = settings ?? TradeOffSettings.PlainAdam;
        _optimiser = new TradeOffOptimiser(objectives, _settings);
        _weights = new double[objectives];
        _weights.AsSpan().Fill(1);
        _first = new double[objectives];
        _gradient = new double[objectives];
        _rates = new double[objectives];
    }

    /// <inheritdoc/>
    public override BalancerNeeds Needs => BalancerNeeds.Gram;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState()
    {
        var state = new Dictionary<string, double[]> { ["weights"] = [.. _weights], ["first"] = [.. _first] };
        _optimiser.SaveState(state);
        return state;
    }

    /// <inheritdoc/>
    public override string ToString() => Text(
        $"{Name} (alpha {_alpha}; {_settings.Rule} lr {_settings.LearningRate}; loss floor {_lossFloor})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        LossFloor.Apply(_lossFloor, signals.Losses, _rates, weights.Floored);
        // A first loss is positive by the floor, so zero says that there was none yet.
        if (_first[0] == 0)
            _rates.CopyTo(_first, 0);
        double meanRate = 0, meanNorm = 0, sum = 0;
        for (int k = 0; k < Objectives; k++)
        {
            _rates[k] /= _first[k];
            meanRate += _rates[k] / Objectives;
            _gradient[k] = Math.Sqrt(Math.Max(0, signals.Gram[k * Objectives + k]));
            meanNorm += _weights[k] * _gradient[k] / Objectives;
            weights.Pi[k] = weights.Coefficients[k] = _weights[k];
        }

        for (int k = 0; k < Objectives; k++)
        {
            double excess = _weights[k] * _gradient[k] - meanNorm * Math.Pow(_rates[k] / meanRate, _alpha);
            _gradient[k] *= Math.Sign(excess);
        }

        _optimiser.Step(_weights, _gradient);
        foreach (ref double weight in _weights.AsSpan())
            sum += weight = Math.Max(weight, LeastWeight);
        foreach (ref double weight in _weights.AsSpan())
            weight *= Objectives / sum;
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state)
    {
        state["weights"].CopyTo(_weights, 0);
        state["first"].CopyTo(_first, 0);
        _optimiser.LoadState(state);
    }
}
