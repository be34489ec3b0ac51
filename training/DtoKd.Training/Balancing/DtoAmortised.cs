namespace DtoKd.Training.Balancing;

// g = Σ π_k ∇log L_k with π learned beside the network instead of solved for                    (DTO-KD, Algorithm 1, lines 3-5)
//
//   ℓ_k = log L_k        s = Σ π_j ℓ_j        the proxy ½s² stands for ½‖Jπ‖² (eq. 18); ∂/∂π_k = s ℓ_k
//   w                    logits, π = softmax(w), so that ∂(½s²)/∂w_k = π_k s (ℓ_k − s)
//   δ_k                  log L_k before the step − log L_k after it, same batch: the improvement
//   coefficient_k        π_k / L_k; in FAMO's reading divided by c = Σ π_j / L_j, so that they sum to 1
//
// The paper leaves open what its "softmax renormalisation" is applied to and never uses the improvements it computes. Hence
// three readings:
//   Literal   π ← softmax(step(π, s ℓ)).      A softmax of numbers in [0, 1] is nearly even: π hardly leaves 1/K.
//   Logits    w ← step(w, π_k s (ℓ_k − s)).   With losses on both sides of 1 it settles where s = 0; with all on one side it
//                                             runs to the loss whose |ℓ| is smallest. L → kL changes the weights.
//   Famo      w ← step(w, π_k (δ_k − Σ π_j δ_j)).   The loss that improved most loses weight. L → kL changes nothing.
// (step is the trade-off optimiser; Famo is the rule of "FAMO: Fast Adaptive Multitask Optimization", 2023, with min losses 0.)

/// <summary>How Algorithm 1's update of π is read.</summary>
public enum AmortisedReading
{
    /// <summary>π itself is stepped and then passed through a softmax, as printed. It stays close to even.</summary>
    Literal,

    /// <summary>The logits of π are stepped by the gradient of ½(Σ π_k log L_k)².</summary>
    Logits,

    /// <summary>The logits of π are stepped by the improvements of the losses, as FAMO does.</summary>
    Famo,
}

/// <summary>
/// DTO-KD with the weights learned along the way (Algorithm 1): one backward pass through Σ π_k log L_k per step.
/// </summary>
/// <remarks>
/// Weights start even. <see cref="Balancer.Weigh"/> gives the weights for this step and, in the readings
/// <see cref="AmortisedReading.Literal"/> and <see cref="AmortisedReading.Logits"/>, updates them from this step's losses for
/// the next one; the reading <see cref="AmortisedReading.Famo"/> updates in <see cref="Balancer.AfterStep"/>. A step whose
/// losses afterwards never come (skipped by the trainer) teaches nothing.
/// </remarks>
public sealed class DtoAmortised : Balancer
{
    private readonly AmortisedReading _reading;
    private readonly TradeOffSettings _settings;
    private readonly TradeOffOptimiser _optimiser;
    private readonly double _lossFloor;
    private readonly double[] _x, _losses, _gradient, _pi;
    private bool _awaitsLosses;

    /// <summary>Makes the rule, weights even.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="reading">How the update of π is read.</param>
    /// <param name="settings">The trade-off optimiser; null for the paper's.</param>
    /// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public DtoAmortised(
        int objectives, AmortisedReading reading, TradeOffSettings? settings = null, double lossFloor = LossFloor.Default)
        : base(NameOf(reading), objectives)
    {
        _reading = reading;
        _settings = settings ?? new TradeOffSettings();
        _optimiser = new TradeOffOptimiser(objectives, _settings);
        _lossFloor = LossFloor.Check(lossFloor);
        _x = new double[objectives];
        if (reading == AmortisedReading.Literal)
            _x.AsSpan().Fill(1.0 / objectives);
        _losses = new double[objectives];
        _gradient = new double[objectives];
        _pi = new double[objectives];
    }

    /// <summary>How the update of π is read.</summary>
    public AmortisedReading Reading => _reading;

    /// <inheritdoc/>
    public override BalancerNeeds Needs =>
        _reading == AmortisedReading.Famo ? BalancerNeeds.LossesAfterStep : BalancerNeeds.None;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState()
    {
        var state = new Dictionary<string, double[]> { [VariableName] = [.. _x] };
        _optimiser.SaveState(state);
        return state;
    }

    /// <inheritdoc/>
    public override string ToString() => Text(
        $"{Name} ({_settings.Rule} lr {_settings.LearningRate}, wd {_settings.WeightDecay}; loss floor {_lossFloor})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        LossFloor.Apply(_lossFloor, signals.Losses, _losses, weights.Floored);
        CurrentWeights(_pi);
        double c = 0;
        for (int k = 0; k < Objectives; k++)
        {
            weights.Pi[k] = _pi[k];
            weights.Coefficients[k] = _pi[k] / _losses[k];
            c += weights.Coefficients[k];
        }
        if (_reading == AmortisedReading.Famo)
        {
            foreach (ref double coefficient in weights.Coefficients)
                coefficient /= c;
            _awaitsLosses = true;
            return;
        }
        StepByLevels();
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
            _gradient[k] = Math.Log(_losses[k]) - Math.Log(Math.Max(lossesAfter[k], _lossFloor));
            mean += _pi[k] * _gradient[k];
        }
        for (int k = 0; k < Objectives; k++)
            _gradient[k] = _pi[k] * (_gradient[k] - mean);
        _optimiser.Step(_x, _gradient);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state)
    {
        state[VariableName].CopyTo(_x, 0);
        _optimiser.LoadState(state);
        _awaitsLosses = false;
    }

    private string VariableName => _reading == AmortisedReading.Literal ? "pi" : "logits";

    /// <summary>Readings Literal and Logits: one step on ½s², the levels ℓ held constant.</summary>
    private void StepByLevels()
    {
        double s = 0;
        for (int k = 0; k < Objectives; k++)
        {
            _gradient[k] = Math.Log(_losses[k]);
            s += _pi[k] * _gradient[k];
        }
        for (int k = 0; k < Objectives; k++)
            _gradient[k] = _reading == AmortisedReading.Literal ? s * _gradient[k] : _pi[k] * s * (_gradient[k] - s);
        _optimiser.Step(_x, _gradient);
        if (_reading == AmortisedReading.Literal)
            Softmax.Of(_x, _x);
    }

    private void CurrentWeights(Span<double> pi)
    {
        if (_reading == AmortisedReading.Literal)
            _x.CopyTo(pi);
        else
            Softmax.Of(_x, pi);
    }

    private static string NameOf(AmortisedReading reading) => reading switch
    {
        AmortisedReading.Literal => "amortised-literal",
        AmortisedReading.Logits => "amortised-logits",
        AmortisedReading.Famo => "amortised-famo",
        _ => throw new ArgumentOutOfRangeException(nameof(reading), reading, "unknown reading of the amortised rule"),
    };
}
