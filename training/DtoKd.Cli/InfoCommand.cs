using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Cli;

/// <summary><c>dtokd info</c></summary>
internal static class InfoCommand
{
    public static Command Create(Host host)
    {
        var json = DisplayOptions.Json();
        var command = new Command("info", "Shows versions, the machine and what of it is used.") { json };
        command.SetAction(parsed =>
        {
            var rows = Rows();
            if (parsed.GetValue(json))
            {
                host.Output.WriteLine(JsonSerializer.Serialize(rows.ToDictionary(row => row.Name, row => row.Value)));
                return ExitCode.Done;
            }

            int width = rows.Max(row => row.Name.Length);
            foreach (var (name, value) in rows)
                host.Output.WriteLine($"{name.PadRight(width)}  {value}");
            return ExitCode.Done;
        });
        return command;
    }

    private static IReadOnlyList<(string Name, string Value)> Rows() =>
    [
        (Application.Name, Application.Version),
        ("runtime", RuntimeInformation.FrameworkDescription),
        ("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}"),
        ("processors", $"{Environment.ProcessorCount}"),
        ("simd", $"{DeviceOptions.Name(Simd.Default)} (best here: {DeviceOptions.Name(Simd.Best)})"),
        ("memory", Memory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)),
        .. Cards(),
    ];

    private static IEnumerable<(string Name, string Value)> Cards()
    {
        var cards = GpuInfo.List(out string? problem);
        if (problem is not null)
            return [("cuda", $"not usable: {problem}")];
        return cards.Select(card => (
            card.DeviceName,
            $"{card.Name}, {Memory(card.MemoryBytes)}, capability {card.Capability}, driver of CUDA {card.Driver}"
                + (card.Problem is null ? "" : $"; not usable: {card.Problem}")));
    }

    private static string Memory(long bytes) => FormattableString.Invariant($"{bytes / (double)(1 << 30):F1} GiB");
}
