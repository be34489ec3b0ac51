using DtoKd.Training.Balancing;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Loop;

/// <summary>Turns what a step reports into the records of the log.</summary>
internal static class Records
{
    public static StepRecord Of(string run, string[] objectives, in StepReport report)
    {
        var tradeOff = report.TradeOff;
        return new StepRecord
        {
            Run = run,
            Step = report.Step,
            Epoch = report.Position.Epoch + 1,
            Losses = new NamedValues(objectives, [.. tradeOff.Losses]),
            Weights = new NamedValues(objectives, [.. tradeOff.Pi]),
            Coefficients = new NamedValues(objectives, [.. tradeOff.Coefficients]),
            Cosine = Distilled(objectives, tradeOff, k => tradeOff.Cosine(k, tradeOff.Task)),
            NormRatio = Distilled(objectives, tradeOff, k => tradeOff.NormRatio[k]),
            Conflict = objectives.Length > 1 ? tradeOff.Conflict : null,
            Clamped = tradeOff.HasGram && objectives.Length > 1 ? tradeOff.Clamped : null,
            DroppedObjective = tradeOff.Dropped.Count > 0 ? string.Join(",", tradeOff.Dropped.Select(k => objectives[k])) : null,
            NormOfMixed = tradeOff.HasGram ? tradeOff.MixedNorm : null,
            GradNorm = report.GradientNorm,
            LearningRate = report.LearningRate,
            Milliseconds = report.Elapsed.TotalMilliseconds,
        };
    }

    public static EpochRecord Of(string run, string[] objectives, in StepReport last, EpochTotals totals, double top1) => new()
    {
        Run = run,
        Epoch = last.Position.Epoch + 1,
        Step = last.Step,
        TrainLosses = new NamedValues(objectives, totals.MeanLosses),
        Top1 = top1,
        ImagesPerSecond = totals.ImagesPerSecond,
        Seconds = totals.Seconds,
        ConflictShare = totals.ConflictShare,
        ClampedShare = objectives.Length > 1 ? totals.ClampedShare : null,
    };

    /// <summary>A number for every objective but the task's, where gradients were compared.</summary>
    private static NamedValues Distilled(string[] objectives, TradeOffDiagnostics tradeOff, Func<int, double> value)
    {
        if (!tradeOff.HasGram || objectives.Length == 1)
            return default;
        var others = Enumerable.Range(0, objectives.Length).Where(k => k != tradeOff.Task).ToArray();
        return new NamedValues([.. others.Select(k => objectives[k])], [.. others.Select(value)]);
    }
}
