using DtoKd.Training.Logging;
using Spectre.Console;

namespace DtoKd.Cli.Display;

/// <summary>A line for every epoch: for pipes, files and terminals that cannot move the cursor.</summary>
internal sealed class LineDisplay(IAnsiConsole console) : RunDisplay
{
    public override void Begin(RunFolder folder) => Line($"results in {Paths.Shown(folder.FullPath)}");

    public override void RunStarted(string run, string network, long parameters, long stepsDone, long totalSteps)
    {
        base.RunStarted(run, network, parameters, stepsDone, totalSteps);
        string from = stepsDone == 0 ? "" : stepsDone == totalSteps ? ", done before" : $", {stepsDone} done before";
        Line($"{run}: {network}, {parameters} parameters, {totalSteps} steps{from}");
    }

    public override void EpochDone(in EpochRecord epoch) => Line(
        $"{epoch.Run}  epoch {epoch.Epoch}/{Epochs(epoch)}  {Figures.Losses(epoch.TrainLosses)}  "
        + $"top-1 {Figures.Percent(epoch.Top1)}  {Figures.Rate(epoch.ImagesPerSecond)}");

    public override void End(RunSummary summary, RunFolder folder) => SummaryTable.Write(console, summary, folder);

    private void Line(string text) => console.Profile.Out.Writer.WriteLine(text);
}
