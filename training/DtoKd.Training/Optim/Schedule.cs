namespace DtoKd.Training.Optim;

/// <summary>A learning rate by the step, with a linear warm-up before the rule.</summary>
/// <param name="baseRate">The rate after the warm-up.</param>
/// <param name="warmupSteps">The steps of the warm-up.</param>
public abstract class Schedule(double baseRate, long warmupSteps)
{
    /// <summary>
    /// The rate of step 0, from which the warm-up rises to the base rate at step warmupSteps, as in timm. When null, the warm-up
    /// rises from baseRate / warmupSteps at step 0 to the base rate at its last step.
    /// </summary>
    public double? WarmupRate { get; init; }

    /// <summary>The rate after the warm-up.</summary>
    protected double BaseRate { get; } = baseRate;

    /// <summary>The steps of the warm-up.</summary>
    protected long WarmupSteps { get; } = warmupSteps;

    /// <summary>The rate of a step, counted from 0.</summary>
    public double RateAt(long step)
    {
        if (step >= WarmupSteps)
            return RateAfterWarmup(step);
        return WarmupRate is { } first
            ? first + (step * (BaseRate - first) / WarmupSteps)
            : BaseRate * (step + 1) / WarmupSteps;
    }

    /// <summary>The rule, for steps from <see cref="WarmupSteps"/> on; they are counted from the run's beginning.</summary>
    protected abstract double RateAfterWarmup(long step);
}
