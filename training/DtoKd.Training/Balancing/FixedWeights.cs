namespace DtoKd.Training.Balancing;

// g = Σ α_k ∇L_k                                              (the weighted sum that DTO-KD, §3.1, starts from)
//
//   α   constant weights of the raw losses; π = α in the log

/// <summary>
/// Constant weights of the raw losses: the usual weighted sum of task and distillation loss. With α = 1 on the task and 0
/// elsewhere it is training without distillation.
/// </summary>
public sealed class FixedWeights : Balancer
{
    private readonly double[] _alpha;

    /// <summary>Makes the rule.</summary>
    /// <param name="alpha">[K] weights; any finite numbers.</param>
    /// <param name="name">The name for the log.</param>
    /// <exception cref="ArgumentException">No weight, or one that is NaN or infinite.</exception>
    public FixedWeights(ReadOnlySpan<double> alpha, string name = "fixed")
        : base(name, alpha.Length)
    {
        _alpha = alpha.ToArray();
        int bad = Array.FindIndex(_alpha, a => !double.IsFinite(a));
        if (bad >= 0)
            throw new ArgumentException(Text($"fixed weight {bad} is {_alpha[bad]}"), nameof(alpha));
    }

    /// <summary>α = 1 on the task and 0 on every other objective.</summary>
    /// <param name="objectives">K.</param>
    /// <param name="task">Index of the task's loss.</param>
    /// <returns>The rule, named "none".</returns>
    public static FixedWeights TaskOnly(int objectives, int task)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(task);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(task, objectives);
        var alpha = new double[objectives];
        alpha[task] = 1;
        return new FixedWeights(alpha, "none");
    }

    /// <summary>[K] the weights.</summary>
    public ReadOnlySpan<double> Alpha => _alpha;

    /// <inheritdoc/>
    public override bool IsBlind => true;

    /// <inheritdoc/>
    public override string ToString() => Text($"{Name} (weights {string.Join(", ", _alpha.Select(a => Text($"{a}")))})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        _alpha.CopyTo(weights.Pi);
        _alpha.CopyTo(weights.Coefficients);
    }
}
