namespace DtoKd.Training.Logging;

/// <summary>One row of the table that compares runs.</summary>
/// <param name="Run">The method.</param>
/// <param name="Top1">Top-1 of the last evaluation, in [0, 1].</param>
/// <param name="FinalLosses">Means over the last epoch, or the last step's losses when no epoch was finished.</param>
/// <param name="MillisecondsPerStep">Median over the steps.</param>
/// <param name="ConflictShare">Share of the steps with a conflict among those where it was measured, in [0, 1].</param>
/// <param name="ClampedShare">Share of the steps with a clamped weight among those where it was measured, in [0, 1].</param>
public sealed record RunResult(
    string Run,
    double? Top1,
    NamedValues FinalLosses,
    double? MillisecondsPerStep,
    double? ConflictShare,
    double? ClampedShare)
{
    /// <summary>A row per run, in the order of their first record.</summary>
    public static IReadOnlyList<RunResult> From(Metrics metrics)
    {
        var steps = metrics.Steps.ToLookup(step => step.Run);
        var epochs = metrics.Epochs.ToLookup(epoch => epoch.Run);
        return [.. RunsOf(metrics).Select(run => From(run, [.. steps[run]], [.. epochs[run]]))];
    }

    /// <summary>The runs' names in the order of their first record.</summary>
    internal static IReadOnlyList<string> RunsOf(Metrics metrics) =>
        [.. metrics.Steps.Select(step => step.Run).Concat(metrics.Epochs.Select(epoch => epoch.Run)).Distinct()];

    private static RunResult From(string run, StepRecord[] steps, EpochRecord[] epochs) => new(
        run,
        epochs.LastOrDefault(epoch => epoch.Top1 is not null).Top1,
        epochs.Length > 0 ? epochs[^1].TrainLosses : steps[^1].Losses,
        Median([.. steps.Select(step => step.Milliseconds)]),
        Share(steps.Select(step => step.Conflict)),
        Share(steps.Select(step => step.Clamped)));

    private static double? Median(double[] values)
    {
        if (values.Length == 0)
            return null;
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    private static double? Share(IEnumerable<bool?> flags)
    {
        long measured = 0, set = 0;
        foreach (bool? flag in flags)
        {
            measured += flag is null ? 0 : 1;
            set += flag is true ? 1 : 0;
        }
        return measured > 0 ? (double)set / measured : null;
    }
}
