using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Cli;

/// <summary><c>dtokd inspect</c></summary>
internal static class InspectCommand
{
    private const int ChecksumBytes = 8;

    public static Command Create(Host host)
    {
        var path = Parsing.TextArgument("FILE", "checkpoint: safetensors (also in shards), .pth or .pt");
        var json = DisplayOptions.Json();
        var command = new Command("inspect", "Lists the tensors of a checkpoint: name, type, shape and a checksum.") { path, json };
        command.SetAction(parsed =>
        {
            using var file = CheckpointReader.Open(parsed.GetValue(path)!);
            var notes = CheckpointNames.Of(file).Notes;
            var tensors = file.Entries.Select(entry =>
            {
                host.Stop.Token.ThrowIfCancellationRequested();
                return (Entry: entry, Checksum: Checksum(file, entry));
            });
            if (parsed.GetValue(json))
                WriteJson(host, file, notes, tensors);
            else
                WriteText(host, file, notes, tensors);
            return ExitCode.Done;
        });
        return command;
    }

    private static void WriteText(
        Host host, CheckpointReader file, IReadOnlyList<string> notes, IEnumerable<(CheckpointEntry Entry, string Checksum)> tensors)
    {
        int name = Width(file, entry => entry.Name), type = Width(file, entry => $"{entry.Type}"), shape = Width(file, entry => entry.ShapeText);
        foreach (var (entry, checksum) in tensors)
        {
            host.Output.WriteLine(
                $"{entry.Name.PadRight(name)}  {$"{entry.Type}".PadRight(type)}  {entry.ShapeText.PadRight(shape)}  {checksum}");
        }

        host.Output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{file.Format}: {file.Entries.Count} tensors, {file.Entries.Sum(entry => entry.ElementCount):N0} values, {file.Entries.Sum(entry => entry.ByteCount):N0} bytes"));
        foreach (string note in notes)
            host.Output.WriteLine(note);
        foreach (var (key, value) in file.Metadata)
            host.Output.WriteLine($"{key}: {value}");
    }

    private static void WriteJson(
        Host host, CheckpointReader file, IReadOnlyList<string> notes, IEnumerable<(CheckpointEntry Entry, string Checksum)> tensors) =>
        host.Output.WriteLine(JsonSerializer.Serialize(new
        {
            format = file.Format,
            notes,
            metadata = file.Metadata,
            tensors = tensors.Select(tensor => new
            {
                name = tensor.Entry.Name,
                type = $"{tensor.Entry.Type}",
                shape = tensor.Entry.Shape,
                checksum = tensor.Checksum,
            }),
        }));

    private static int Width(CheckpointReader file, Func<CheckpointEntry, string> text) =>
        file.Entries.Select(entry => text(entry).Length).DefaultIfEmpty().Max();

    /// <summary>
    /// The first bytes of the SHA-256 of the elements, row-major and little-endian: the same for the same tensor in any format.
    /// </summary>
    private static string Checksum(CheckpointReader file, CheckpointEntry entry) =>
        Convert.ToHexStringLower(SHA256.HashData(file.ReadBytes(entry.Name)).AsSpan(0, ChecksumBytes));
}
