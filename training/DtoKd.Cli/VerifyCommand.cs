using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Models.Checkpoints;
using DtoKd.Training.Verification;
using Spectre.Console;

namespace DtoKd.Cli;

/// <summary><c>dtokd verify</c></summary>
internal static class VerifyCommand
{
    private static readonly JsonSerializerOptions _json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
    };

    public static Command Create(Host host)
    {
        var defaults = new VerifySettings();
        var cases = Parsing.Whole<int>("--cases", $"cases of each claim [{defaults.Cases}]");
        var dimension = Parsing.Whole<int>("--dimension", "length of the gradients [2 to 64, and a few up to ten million]");
        var seed = Parsing.Whole<ulong>("--seed", $"what the cases are drawn from [{defaults.Seed}]");
        var threads = Parsing.Whole<int>("--threads", $"threads; results do not depend on it [{defaults.Threads}]");
        var json = Parsing.Text("--json", "FILE", "also write the results here, as JSON");
        var html = Parsing.Text("--html", "FILE", "also write a page with the map of where each corollary holds");
        var command = new Command(
            "verify", "Tries the paper's theorem and corollaries on the program's own weights; ends with 1 if one fails.")
        {
            cases, dimension, seed, threads, json, html,
        };
        command.SetAction(parsed =>
        {
            var settings = new VerifySettings
            {
                Cases = parsed.GetResult(cases) is null ? defaults.Cases : parsed.GetValue(cases),
                Dimension = parsed.GetResult(dimension) is null ? null : parsed.GetValue(dimension),
                Seed = parsed.GetResult(seed) is null ? defaults.Seed : parsed.GetValue(seed),
                Threads = parsed.GetResult(threads) is null ? defaults.Threads : parsed.GetValue(threads),
            };
            DeviceOptions.RequireThreads(settings.Threads);
            var (jsonFile, htmlFile) = (parsed.GetValue(json), parsed.GetValue(html));
            if (jsonFile is not null && htmlFile is not null && Path.GetFullPath(jsonFile) == Path.GetFullPath(htmlFile))
                throw new UsageException($"--json and --html both name {htmlFile}; each needs a file of its own");
            foreach (string file in new[] { jsonFile, htmlFile }.OfType<string>())
                AtomicFile.RequireWritable(file);
            var results = Verifier.Run(settings, host.Stop.Token);
            Show(host, results);
            if (jsonFile is not null)
                AtomicFile.Write(jsonFile, stream => JsonSerializer.Serialize(stream, results, _json));
            if (htmlFile is not null)
            {
                VerifyPage.Write(htmlFile, results, Application.Version);
                host.Output.WriteLine($"page  {Paths.Shown(Path.GetFullPath(htmlFile))}");
            }
            return results.All(result => result.Holds) ? ExitCode.Done : ExitCode.Failed;
        });
        HelpSections.Add(
            command,
            ("Exit codes",
            [
                ("0", "every claim holds on its domain, and every documented counter-example still is one"),
                ("1", "otherwise"),
            ]));
        return command;
    }

    private static void Show(Host host, IReadOnlyList<ClaimResult> results)
    {
        var console = DisplayOptions.ConsoleFor(host);
        var table = new Table { Border = TableBorder.Simple, ShowRowSeparators = false };
        table.AddColumn("claim");
        table.AddColumn("where");
        foreach (string heading in (string[])["cases", "in it", "worst margin"])
            table.AddColumn(new TableColumn(heading).RightAligned());
        table.AddColumn("verdict");
        foreach (var result in results)
        {
            table.AddRow(
                result.Name.EscapeMarkup(),
                result.Domain.EscapeMarkup(),
                result.Cases.ToString(CultureInfo.InvariantCulture),
                Figures.Percent(result.DomainShare),
                result.WorstMargin.ToString("0.0e+00", CultureInfo.InvariantCulture),
                result.Verdict.EscapeMarkup());
        }
        console.Write(table);
        var output = console.Profile.Out.Writer;
        foreach (var result in results)
        {
            string elsewhere = result.CounterExample is { } example ? $"; not at {example}" : "";
            output.WriteLine($"{result.Name}: {result.Statement}{elsewhere}");
            if (result.FoundInside is { } found)
                output.WriteLine($"{result.Name} FAILS at {found}");
        }
        int untried = results.Count(result => result.InDomain == 0), failed = results.Count(result => !result.Holds) - untried;
        if (failed > 0)
            output.WriteLine($"{failed} of {results.Count} claims FAIL");
        if (untried > 0)
            output.WriteLine($"{untried} of {results.Count} claims were not tried: no case was where they are said to hold; more --cases try them");
        if (failed == 0 && untried == 0)
            output.WriteLine($"all {results.Count} claims hold where they are said to");
    }
}
