using System.CommandLine;
using System.Globalization;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Models.Checkpoints;
using DtoKd.Training.Verification;
using Spectre.Console;

namespace DtoKd.Cli;

/// <summary><c>dtokd toy</c></summary>
internal static class ToyCommand
{
    private const int DefaultSteps = 2000;
    private const int MostSteps = 1_000_000;

    public static Command Create(Host host)
    {
        var steps = Parsing.Whole<int>("--steps", "steps of each trajectory");
        steps.DefaultValueFactory = _ => DefaultSteps;
        var html = Parsing.Text("--html", "FILE", "also write a page with the trajectories over the map");
        var command = new Command("toy", "Follows every method on FAMO's toy of two objectives, from five starts.") { steps, html };
        command.SetAction(parsed =>
        {
            int count = parsed.GetValue(steps);
            if (count is < 1 or > MostSteps)
                throw new UsageException($"--steps is {count}; it has to be in 1 .. {MostSteps}");
            string? file = parsed.GetValue(html);
            if (file is not null)
                AtomicFile.RequireWritable(file);
            var results = ToyPage.Run(count, host.Stop.Token);
            Show(host, results);
            if (file is not null)
            {
                ToyPage.Write(file, results);
                host.Output.WriteLine($"page  {Paths.Shown(Path.GetFullPath(file))}");
            }
            return ExitCode.Done;
        });
        return command;
    }

    private static void Show(Host host, IReadOnlyList<ToyResult> results)
    {
        var console = DisplayOptions.ConsoleFor(host);
        var table = new Table { Border = TableBorder.Simple, ShowRowSeparators = false };
        table.AddColumn("method");
        foreach (var (x1, x2) in ToyProblem.Starts)
        {
            string start = string.Create(CultureInfo.InvariantCulture, $"from ({x1}, {x2})");
            table.AddColumn(new TableColumn(start).RightAligned());
        }
        foreach (var result in results)
        {
            table.AddRow([
                result.Name.EscapeMarkup(),
                .. result.Trajectories.Select(points =>
                    ToyPage.Miss(points).ToString("0.00", CultureInfo.InvariantCulture)),
            ]);
        }
        console.Write(table);
        console.Profile.Out.Writer.WriteLine("distance of the end from the line of the best trade-offs");
    }
}
