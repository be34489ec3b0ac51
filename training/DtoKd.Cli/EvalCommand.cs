using System.CommandLine;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;

namespace DtoKd.Cli;

/// <summary><c>dtokd eval</c></summary>
internal static class EvalCommand
{
    private const int DefaultBatch = 256;
    private const int ClassesForTop5 = 10;

    public static Command Create(Host host)
    {
        var checkpoint = Parsing.Text("--checkpoint", "FILE", "network: safetensors or .pth, by timm's, torchvision's or the authors' names");
        checkpoint.Required = true;
        var model = Parsing.Text("--model", "NAME", "network in the checkpoint, one of those below [what the file says]");
        var data = Parsing.Text("--data", "SRC", $"images: {DataSource.KnownForms}; the held-out part is used");
        data.Required = true;
        var batchSize = Parsing.Whole<int>("--batch-size", "images at a time");
        batchSize.DefaultValueFactory = _ => DefaultBatch;
        var folders = new ImageFolderSettings();
        var json = DisplayOptions.Json();
        var device = new DeviceOptions();
        var command = new Command("eval", "Measures the accuracy of a checkpoint.") { checkpoint, model, data, batchSize };
        folders.AddTo(command);
        device.AddTo(command);
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            int images = parsed.GetValue(batchSize);
            if (images < 1)
                throw new UsageException($"--batch-size is {images}; it has to be at least 1");
            using var where = device.Open(parsed, host);
            string source = parsed.GetValue(data)!;
            var test = DataSource.Parse(source).Load(folders.Read(parsed, source, parsed.GetValue(model))).Test;
            using var network = Network.Load(where, parsed.GetValue(checkpoint)!, parsed.GetValue(model), test.Format);
            if (!parsed.GetValue(json))
            {
                foreach (string note in network.Notes)
                    host.Output.WriteLine(note);
            }

            var (top1, top5) = Evaluation.Measure(where, network.Model, test, images, host.Stop.Token);
            // Among few classes the first five say little.
            double? five = test.Format.ClassNames.Count >= ClassesForTop5 ? top5 : null;
            string further = five is { } share ? $", top-5 {Figures.Percent(share)}" : "";
            host.Output.WriteLine(
                parsed.GetValue(json)
                    ? JsonSerializer.Serialize(new { model = network.Name, data = test.Format.Name, images = test.Count, top1, top5 = five })
                    : $"{network.Name} on {test.Format.Name}: top-1 {Figures.Percent(top1)}{further} of {test.Count} images");
            return ExitCode.Done;
        });
        HelpSections.Add(command, ExperimentVerb.NetworksHelp);
        return command;
    }
}
