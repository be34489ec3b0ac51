using System.Text.Json;
using System.Text.Json.Serialization;
using DtoKd.Training.Logging;
using DtoKd.Training.Loop;

namespace DtoKd.Cli.Display;

/// <summary>JSON lines: one for every epoch, as in <c>metrics.jsonl</c>, and one with the results.</summary>
internal sealed class JsonDisplay(TextWriter output) : RunDisplay
{
    private static readonly JsonSerializerOptions _options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public override void EpochDone(in EpochRecord epoch)
    {
        output.WriteLine(MetricsLog.Line(epoch));
        output.Flush();
    }

    public override void End(RunSummary summary, RunFolder folder)
    {
        var results = new
        {
            kind = "results",
            summary.Title,
            summary.DataSet,
            summary.Teachers,
            summary.Student,
            summary.Seed,
            summary.Version,
            runs = RunResult.From(summary.Metrics).Select(result => new
            {
                result.Run,
                result.Seeds,
                result.Top1,
                result.Top1Deviation,
                finalLosses = result.FinalLosses.ToDictionary(),
                result.MillisecondsPerStep,
                result.ConflictShare,
                result.ClampedShare,
                checkpoint = Path.Combine(folder.CheckpointsOf(summary.Seeds > 1 ? RunName.Of(result.Run, summary.Seed) : result.Run), CheckpointFiles.Last),
            }),
            folder = folder.FullPath,
            config = folder.Config,
            metrics = folder.Metrics,
            report = folder.Report,
        };
        output.WriteLine(JsonSerializer.Serialize(results, _options));
    }
}
