using System.CommandLine;
using DtoKd.Cli.Options;
using DtoKd.Models.Checkpoints;
using DtoKd.Training.Loop;

namespace DtoKd.Cli;

/// <summary><c>dtokd convert</c></summary>
internal static class ConvertCommand
{
    public static Command Create(Host host)
    {
        var from = Parsing.TextArgument("IN", "checkpoint: safetensors (also in shards), .pth or .pt");
        var to = Parsing.TextArgument("OUT", "the safetensors file to write");
        var scheme = Parsing.Text("--to", "NAMES", "whose names it has: timm or torchvision [timm]");
        var type = Parsing.Text("--dtype", "TYPE", "type of the weights: f32, f16 or bf16 [as they are]");
        var average = new Option<bool>("--ema") { Description = "take the averaged weights where the file has both" };
        var force = new Option<bool>("--force") { Description = "replace OUT if it exists" };
        var command = new Command("convert", "Rewrites the network of a checkpoint as safetensors, by timm's or torchvision's names.")
        {
            from, to, scheme, type, average, force,
        };
        command.SetAction(parsed =>
        {
            string target = parsed.GetValue(to)!;
            var options = new ConversionOptions
            {
                To = SchemeOf(parsed.GetValue(scheme)),
                FloatType = TypeOf(parsed.GetValue(type)),
                Average = parsed.GetValue(average),
            };
            if (File.Exists(target) && !parsed.GetValue(force))
                throw new UsageException($"{target} exists already; --force replaces it");
            AtomicFile.RequireWritable(target);
            using var file = Network.OpenCheckpoint(parsed.GetValue(from)!);
            foreach (string note in CheckpointConverter.Convert(file, target, options))
                host.Output.WriteLine(note);
            host.Output.WriteLine($"file  {Paths.Shown(target)}");
            return ExitCode.Done;
        });
        return command;
    }

    private static NamingScheme SchemeOf(string? name) => name switch
    {
        null or "timm" => NamingScheme.Timm,
        "torchvision" => NamingScheme.Torchvision,
        _ => throw new UsageException($"--to takes timm or torchvision, not '{name}'"),
    };

    private static SafetensorsType? TypeOf(string? name) => name switch
    {
        null => null,
        "f32" => SafetensorsType.F32,
        "f16" => SafetensorsType.F16,
        "bf16" => SafetensorsType.BF16,
        _ => throw new UsageException($"--dtype takes f32, f16 or bf16, not '{name}'"),
    };
}
