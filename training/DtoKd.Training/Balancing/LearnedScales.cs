namespace DtoKd.Training.Balancing;

/// <summary>
/// A rule that learns one number s per objective beside the network, by gradient steps on a loss of its own; the network sees
/// a coefficient that follows from s alone.
/// </summary>
public abstract class LearnedScales : Balancer
{
    private readonly TradeOffSettings _settings;
    private readonly TradeOffOptimiser _optimiser;
    private readonly double _lossFloor;
    private readonly double[] _s, _losses, _gradient;

    /// <summary>For the rules; s starts at 0.</summary>
    /// <param name="name">The name of the rule.</param>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="settings">What steps s; null for Adam at 0.025 without decay.</param>
    /// <param name="lossFloor">Losses below it are taken as this value, or a loss of zero would drive its s without end; see
    /// <see cref="LossFloor"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    protected LearnedScales(string name, int objectives, TradeOffSettings? settings, double lossFloor)
        : base(name, objectives)
    {
        _settings = settings ?? TradeOffSettings.PlainAdam;
        _optimiser = new TradeOffOptimiser(objectives, _settings);
        _lossFloor = LossFloor.Check(lossFloor);
        _s = new double[objectives];
        _losses = new double[objectives];
        _gradient = new double[objectives];
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState()
    {
        var state = new Dictionary<string, double[]> { ["s"] = [.. _s] };
        _optimiser.SaveState(state);
        return state;
    }

    /// <inheritdoc/>
    public override string ToString() => Text(
        $"{Name} ({_settings.Rule} lr {_settings.LearningRate}, wd {_settings.WeightDecay}; loss floor {_lossFloor})");

    /// <summary>What multiplies ∇L_k.</summary>
    /// <param name="s">The learned number.</param>
    protected abstract double Coefficient(double s);

    /// <summary>The derivative of the rule's own loss by s.</summary>
    /// <param name="s">The learned number.</param>
    /// <param name="loss">L_k, not below the floor.</param>
    protected abstract double Slope(double s, double loss);

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        LossFloor.Apply(_lossFloor, signals.Losses, _losses, weights.Floored);
        for (int k = 0; k < Objectives; k++)
        {
            weights.Pi[k] = weights.Coefficients[k] = Coefficient(_s[k]);
            _gradient[k] = Slope(_s[k], _losses[k]);
        }

        _optimiser.Step(_s, _gradient);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state)
    {
        state["s"].CopyTo(_s, 0);
        _optimiser.LoadState(state);
    }
}
