namespace DtoKd.Training.Optim;

/// <summary>A linear warm-up, then a rate that falls by a factor at given steps, counted from the run's beginning.</summary>
/// <param name="baseRate">The rate before the first fall.</param>
/// <param name="milestones">The first step of each lower rate, in any order.</param>
/// <param name="factor">What the rate is multiplied with at each.</param>
/// <param name="warmupSteps">The steps of the warm-up.</param>
public sealed class MultiStepSchedule(double baseRate, IEnumerable<long> milestones, double factor, long warmupSteps = 0)
    : Schedule(baseRate, warmupSteps)
{
    private readonly long[] _milestones = [.. milestones];

    /// <inheritdoc/>
    protected override double RateAfterWarmup(long step) =>
        BaseRate * Math.Pow(factor, _milestones.Count(milestone => step >= milestone));
}
