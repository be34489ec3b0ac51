namespace DtoKd.Training.Logging;

/// <summary>One row of the table that compares methods: means over the method's runs, one for each seed.</summary>
/// <param name="Run">The method.</param>
/// <param name="Seeds">Runs, with a seed each.</param>
/// <param name="Top1">Top-1 of the last evaluation, in [0, 1].</param>
/// <param name="Top1Deviation">Its standard deviation over the seeds (n − 1); null for one.</param>
/// <param name="FinalLosses">Means over the last epoch, or the last step's losses when no epoch was finished.</param>
/// <param name="MillisecondsPerStep">Median over the steps.</param>
/// <param name="ConflictShare">Share of the steps with a conflict among those where it was measured, in [0, 1].</param>
/// <param name="ClampedShare">Share of the steps with a clamped weight among those where it was measured, in [0, 1].</param>
public sealed record RunResult(
    string Run,
    int Seeds,
    double? Top1,
    double? Top1Deviation,
    NamedValues FinalLosses,
    double? MillisecondsPerStep,
    double? ConflictShare,
    double? ClampedShare)
{
    /// <summary>A row per method, in the order of their first record.</summary>
    public static IReadOnlyList<RunResult> From(Metrics metrics)
    {
        var steps = metrics.Steps.ToLookup(step => step.Run);
        var epochs = metrics.Epochs.ToLookup(epoch => epoch.Run);
        return [.. RunsOf(metrics).GroupBy(RunName.MethodOf).Select(runs => From(
            runs.Key, [.. runs.Select(run => steps[run].ToArray())], [.. runs.Select(run => epochs[run].ToArray())]))];
    }

    /// <summary>The runs' names in the order of their first record.</summary>
    internal static IReadOnlyList<string> RunsOf(Metrics metrics) =>
        [.. metrics.Steps.Select(step => step.Run).Concat(metrics.Epochs.Select(epoch => epoch.Run)).Distinct()];

    /// <summary>The records of each method's first run, under the method's name.</summary>
    internal static Metrics FirstSeeds(Metrics metrics)
    {
        var first = RunsOf(metrics).DistinctBy(RunName.MethodOf).ToHashSet();
        return new Metrics(
            [.. metrics.Steps.Where(step => first.Contains(step.Run)).Select(step => step with { Run = RunName.MethodOf(step.Run) })],
            [.. metrics.Epochs.Where(epoch => first.Contains(epoch.Run)).Select(epoch => epoch with { Run = RunName.MethodOf(epoch.Run) })]);
    }

    private static RunResult From(string method, StepRecord[][] steps, EpochRecord[][] epochs)
    {
        double[] top1 = [.. epochs.Select(run => run.LastOrDefault(epoch => epoch.Top1 is not null).Top1).OfType<double>()];
        var losses = steps.Zip(epochs, (s, e) => e.Length > 0 ? e[^1].TrainLosses : s[^1].Losses).ToArray();
        string[] names = losses[0].Names.ToArray();
        StepRecord[] all = [.. steps.SelectMany(run => run)];
        return new RunResult(
            method,
            steps.Length,
            top1.Length > 0 ? top1.Average() : null,
            Deviation(top1),
            new NamedValues(names, [.. names.Select(name => losses.Average(run => run.Find(name) ?? double.NaN))]),
            Median([.. all.Select(step => step.Milliseconds)]),
            Share(all.Select(step => step.Conflict)),
            Share(all.Select(step => step.Clamped)));
    }

    private static double? Deviation(double[] values)
    {
        if (values.Length < 2)
            return null;
        double mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Length - 1));
    }

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
