using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Models;
using Spectre.Console;

namespace DtoKd.Cli;

/// <summary><c>dtokd models</c></summary>
internal static class ModelsCommand
{
    // Narrower, a table would cut names into pieces.
    private const int WidthForAll = 160;

    private static readonly JsonSerializerOptions _json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static Command Create(Host host)
    {
        var json = DisplayOptions.Json();
        var command = new Command("models", "Lists the networks: size, cost, memory, published accuracy.") { json };
        command.SetAction(parsed =>
        {
            var rows = Zoo.Entries.Select(entry => (Entry: entry, Cost: ModelCost.Of(entry)));
            if (parsed.GetValue(json))
            {
                foreach (var (entry, cost) in rows)
                    host.Output.WriteLine(Line(entry, cost));
                return ExitCode.Done;
            }

            var console = DisplayOptions.ConsoleFor(host);
            bool isWide = console.Profile.Width >= WidthForAll;
            var table = new Table { Border = TableBorder.Simple, ShowRowSeparators = false };
            table.AddColumn("network");
            foreach (string heading in (string[])["parameters", "GMACs", "MiB an image", "top-1"])
                table.AddColumn(new TableColumn(heading).RightAligned());
            if (isWide)
                table.AddColumns("input", "published by");
            foreach (var (entry, cost) in rows)
                table.AddRow([.. Cells(entry, cost).Take(table.Columns.Count)]);
            console.Write(table);
            console.WriteLine("GMACs: multiply-adds of one image's forward pass, in 10^9: convolutions, linear layers, attention.");
            console.WriteLine("MiB an image: what training keeps from the forward pass for the backward pass, in single precision.");
            if (!isWide)
                console.WriteLine($"In {WidthForAll} columns, and with --json, there are the inputs too and who published the accuracy.");
            return ExitCode.Done;
        });
        return command;
    }

    private static string[] Cells(ZooEntry entry, ModelCost cost) =>
    [
        entry.Name,
        Invariant($"{cost.Parameters:N0}"),
        Invariant($"{cost.MultiplyAdds / 1e9:G3}"),
        Invariant($"{cost.ActivationBytes / (double)(1 << 20):F1}"),
        entry.Published is { } published ? Invariant($"{published.Top1:0.0#}") : "",
        Invariant($"{entry.Native.Channels}x{entry.Native.Height}x{entry.Native.Width}, {entry.Native.Classes} classes"),
        entry.Published?.Source ?? "",
    ];

    private static string Line(ZooEntry entry, ModelCost cost) => JsonSerializer.Serialize(
        new
        {
            entry.Name,
            entry.Summary,
            Input = new[] { entry.Native.Channels, entry.Native.Height, entry.Native.Width },
            entry.Native.Classes,
            cost.Parameters,
            cost.MultiplyAdds,
            ActivationBytesPerImage = cost.ActivationBytes,
            entry.Published?.Top1,
            entry.Published?.Source,
        },
        _json);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
