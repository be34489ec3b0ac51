namespace DtoKd.Training.Balancing;

// w ← step(w, z_k (δ_k − Σ z_j δ_j))                 (Liu et al., "FAMO: Fast Adaptive Multitask Optimization", 2023, algorithm 1)
//
//   z = softmax(w)                    w from 0
//   D_k = L_k − min_k + ε             min_k the least the loss can be, ε = 1e-8
//   δ_k = log D_k before − log D_k after the step, same batch: the improvement
//   coefficient_k = z_k/(c D_k),  c = Σ z_j/D_j: they sum to 1
//
// "amortised-famo" is this rule as DTO-KD's settings would run it (AdamW, decoupled decay); this one is its authors'.

/// <summary>FAMO: weights learned from the improvements of the losses; one backward pass and one more forward pass.</summary>
public sealed class Famo : Balancer
{
    /// <summary>What is added to a loss above its minimum, and the least that is left of it.</summary>
    public const double Epsilon = 1e-8;

    private readonly TradeOffSettings _settings;
    private readonly TradeOffOptimiser _optimiser;
    private readonly double[] _least, _logits, _z, _before, _gradient;
    private bool _awaitsLosses;

    /// <summary>Makes the rule, weights even.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="settings">What steps the logits; null for the authors' Adam at 0.025 with a decay of 0.01 in the
    /// gradient.</param>
    /// <param name="leastLosses">[K] the least each loss can be; empty for zeros.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public Famo(int objectives, TradeOffSettings? settings = null, ReadOnlySpan<double> leastLosses = default)
        : base("famo", objectives)
    {
        _settings = settings ?? new TradeOffSettings(TradeOffRule.Adam);
        _optimiser = new TradeOffOptimiser(objectives, _settings);
        if (!leastLosses.IsEmpty && leastLosses.Length != objectives)
            throw new ArgumentException($"{objectives} least losses expected, got {leastLosses.Length}", nameof(leastLosses));
        _least = leastLosses.IsEmpty ? new double[objectives] : leastLosses.ToArray();
        if (!Array.TrueForAll(_least, double.IsFinite))
            throw new ArgumentException("a least loss is not finite", nameof(leastLosses));
        _logits = new double[objectives];
        _z = new double[objectives];
        _before = new double[objectives];
        _gradient = new double[objectives];
    }

    /// <inheritdoc/>
    public override BalancerNeeds Needs => BalancerNeeds.LossesAfterStep;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState()
    {
        var state = new Dictionary<string, double[]> { ["logits"] = [.. _logits] };
        _optimiser.SaveState(state);
        return state;
    }

    /// <inheritdoc/>
    public override string ToString() => Text($"{Name} ({_settings.Rule} lr {_settings.LearningRate}, wd {_settings.WeightDecay})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        Softmax.Of(_logits, _z);
        double c = 0;
        for (int k = 0; k < Objectives; k++)
        {
            weights.Floored[k] = signals.Losses[k] < _least[k];
            _before[k] = Above(signals.Losses, k);
            weights.Pi[k] = _z[k];
            weights.Coefficients[k] = _z[k] / _before[k];
            c += weights.Coefficients[k];
        }

        foreach (ref double coefficient in weights.Coefficients)
            coefficient /= c;
        _awaitsLosses = true;
    }

    /// <inheritdoc/>
    protected override void Learn(ReadOnlySpan<double> lossesAfter)
    {
        if (!_awaitsLosses)
            throw new InvalidOperationException($"balancer '{Name}' got losses after a step that it did not weigh");
        _awaitsLosses = false;
        double mean = 0;
        for (int k = 0; k < Objectives; k++)
        {
            _gradient[k] = Math.Log(_before[k]) - Math.Log(Above(lossesAfter, k));
            mean += _z[k] * _gradient[k];
        }

        for (int k = 0; k < Objectives; k++)
            _gradient[k] = _z[k] * (_gradient[k] - mean);
        _optimiser.Step(_logits, _gradient);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state)
    {
        state["logits"].CopyTo(_logits, 0);
        _optimiser.LoadState(state);
        _awaitsLosses = false;
    }

    private double Above(ReadOnlySpan<double> losses, int k) => Math.Max(losses[k] - _least[k], 0) + Epsilon;
}
