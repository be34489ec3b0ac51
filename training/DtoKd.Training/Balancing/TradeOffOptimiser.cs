namespace DtoKd.Training.Balancing;

/// <summary>How the trade-off variables of an amortised rule are stepped.</summary>
public enum TradeOffRule
{
    /// <summary>AdamW, weight decay decoupled: what the paper trains with (§4).</summary>
    AdamW,

    /// <summary>Adam with the decay inside the gradient: what FAMO's authors use.</summary>
    Adam,

    /// <summary>Plain gradient descent with decay: Algorithm 1, line 5, as printed.</summary>
    Sgd,
}

/// <summary>The optimiser of the trade-off variables; the defaults are the paper's (AdamW, 0.025, 0.01).</summary>
/// <param name="Rule">The update rule; moments decay by 0.9 and 0.999, ε = 1e-8.</param>
/// <param name="LearningRate">Step size, ≥ 0.</param>
/// <param name="WeightDecay">Decay towards 0, ≥ 0.</param>
public sealed record TradeOffSettings(
    TradeOffRule Rule = TradeOffRule.AdamW, double LearningRate = 0.025, double WeightDecay = 0.01)
{
    /// <summary>Adam at 0.025 without decay, which the comparison of Nash-MTL gives rules with learned scales.</summary>
    internal static TradeOffSettings PlainAdam { get; } = new(TradeOffRule.Adam, WeightDecay: 0);
}

// AdamW on K numbers in double:  x ← (1 − γλ)x;  m ← β1 m + (1 − β1)d;  v ← β2 v + (1 − β2)d²;
//                                x ← x − γ · m/(1 − β1^t) / (√(v/(1 − β2^t)) + ε)
// Adam puts λx into d instead; Sgd is x ← x − γ(d + λx).
//
//   x   the trade-off variables (logits, or π itself)     d   their gradient     γ   learning rate     λ   weight decay

internal sealed class TradeOffOptimiser
{
    private const double Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8;

    private readonly TradeOffSettings _settings;
    private readonly double[] _m, _v;
    private long _t;

    public TradeOffOptimiser(int objectives, TradeOffSettings settings)
    {
        if (!(settings.LearningRate >= 0 && double.IsFinite(settings.LearningRate)))
            throw new ArgumentOutOfRangeException(nameof(settings), settings.LearningRate, "the learning rate must be ≥ 0");
        if (!(settings.WeightDecay >= 0 && double.IsFinite(settings.WeightDecay)))
            throw new ArgumentOutOfRangeException(nameof(settings), settings.WeightDecay, "the weight decay must be ≥ 0");
        if (!Enum.IsDefined(settings.Rule))
            throw new ArgumentOutOfRangeException(nameof(settings), settings.Rule, "unknown trade-off optimiser");
        _settings = settings;
        _m = new double[objectives];
        _v = new double[objectives];
    }

    public void Step(Span<double> x, ReadOnlySpan<double> gradient)
    {
        double rate = _settings.LearningRate, decay = _settings.WeightDecay;
        _t++;
        double bias1 = 1 - Math.Pow(Beta1, _t), bias2 = 1 - Math.Pow(Beta2, _t);
        for (int k = 0; k < x.Length; k++)
        {
            double d = _settings.Rule == TradeOffRule.AdamW ? gradient[k] : gradient[k] + decay * x[k];
            if (_settings.Rule == TradeOffRule.Sgd)
            {
                x[k] -= rate * d;
                continue;
            }
            if (_settings.Rule == TradeOffRule.AdamW)
                x[k] *= 1 - rate * decay;
            _m[k] = Beta1 * _m[k] + (1 - Beta1) * d;
            _v[k] = Beta2 * _v[k] + (1 - Beta2) * d * d;
            x[k] -= rate * (_m[k] / bias1) / (Math.Sqrt(_v[k] / bias2) + Epsilon);
        }
    }

    public void SaveState(IDictionary<string, double[]> state)
    {
        state["optimiser.m"] = [.. _m];
        state["optimiser.v"] = [.. _v];
        state["optimiser.step"] = [_t];
    }

    public void LoadState(IReadOnlyDictionary<string, double[]> state)
    {
        state["optimiser.m"].CopyTo(_m, 0);
        state["optimiser.v"].CopyTo(_v, 0);
        _t = (long)state["optimiser.step"][0];
    }
}
