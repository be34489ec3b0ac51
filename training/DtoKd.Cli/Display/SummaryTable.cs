using DtoKd.Training.Logging;
using Spectre.Console;

namespace DtoKd.Cli.Display;

/// <summary>The table at the end, and where to read on.</summary>
internal static class SummaryTable
{
    public static void Write(IAnsiConsole console, RunSummary summary, RunFolder folder)
    {
        var results = RunResult.From(summary.Metrics);
        // In the order of the runs that have them all.
        var objectives = results.Select(result => result.FinalLosses)
            .OrderByDescending(losses => losses.Count)
            .SelectMany(losses => losses.Select(loss => loss.Key))
            .Distinct()
            .ToArray();
        var table = new Table { Border = TableBorder.Simple, ShowRowSeparators = false };
        table.AddColumn(summary.Teachers.Count == 0 ? "network" : "method");
        foreach (string heading in (string[])["top-1", .. objectives.Select(name => $"loss {name}"), "ms/step", "conflict"])
            table.AddColumn(new TableColumn(heading).RightAligned());
        foreach (var result in results)
        {
            table.AddRow([
                result.Run.EscapeMarkup(),
                Figures.Percent(result.Top1) + (result.Top1Deviation is { } deviation ? $" ± {Figures.Points(deviation)}" : ""),
                .. objectives.Select(name => Figures.Loss(result.FinalLosses.Find(name))),
                Figures.Milliseconds(result.MillisecondsPerStep),
                Figures.Percent(result.ConflictShare),
            ]);
        }

        console.Write(table);
        var output = console.Profile.Out.Writer;
        if (summary.Seeds > 1)
            output.WriteLine($"means over {summary.Seeds} seeds; top-1 with its standard deviation");
        foreach (var teacher in summary.Teachers)
            output.WriteLine($"teacher {teacher.Name}: top-1 {Figures.Percent(teacher.Top1)}");
        output.WriteLine($"report       {Paths.Shown(folder.Report)}");
        output.WriteLine($"checkpoints  {Paths.Shown(folder.Checkpoints)}");
    }
}
