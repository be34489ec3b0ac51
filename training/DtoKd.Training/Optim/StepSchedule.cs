namespace DtoKd.Training.Optim;

/// <summary>A linear warm-up, then a rate that falls by a factor at regular steps, counted from the run's beginning.</summary>
/// <param name="baseRate">The rate before the first fall.</param>
/// <param name="interval">The steps from one fall to the next, at least 1.</param>
/// <param name="factor">What the rate is multiplied with at each.</param>
/// <param name="warmupSteps">The steps of the warm-up.</param>
public sealed class StepSchedule(double baseRate, long interval, double factor, long warmupSteps = 0)
    : Schedule(baseRate, warmupSteps)
{
    private readonly long _interval = interval >= 1
        ? interval
        : throw new ArgumentOutOfRangeException(nameof(interval), interval, "the rate falls every so many steps, at least 1");

    /// <inheritdoc/>
    protected override double RateAfterWarmup(long step) => BaseRate * Math.Pow(factor, step / _interval);
}
