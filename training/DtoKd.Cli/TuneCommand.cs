using System.CommandLine;
using System.Globalization;
using DtoKd.Cli.Options;
using DtoKd.Engine.Gpu;
using DtoKd.Training.Benchmarks;

namespace DtoKd.Cli;

/// <summary><c>dtokd tune</c>: the kernels of a network's matrix products, timed on the card.</summary>
internal static class TuneCommand
{
    public static Command Create(Host host)
    {
        var model = Parsing.TextArgument("MODEL", "network of the zoo");
        var batch = Parsing.WholeArgument("BATCH", "images in a step");
        var device = new DeviceOptions();
        var command = new Command(
            "tune",
            $"Times the kernels of a network's matrix products on a CUDA device; later runs take the fastest. They are kept in a file ({TuningFile.Variable} names another one, or none); sums may be cut elsewhere than without it, so that last bits differ.")
        {
            model, batch,
        };
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            using var where = device.Open(parsed, host);
            if (where is not GpuDevice card)
                throw new UsageException("tune is for cuda (--device cuda); on the cpu shapes and caches say how products are cut");
            if (parsed.GetValue(batch) < 1)
                throw new UsageException($"BATCH is {parsed.GetValue(batch)}; it has to be at least 1");
            if (TuningFile.Path is not { } path)
                throw new UsageException($"{TuningFile.Variable} is empty: there is no file to write to");
            TuningFile.RequireWritable(path);
            // What was found before is not what the tables say.
            ProductTuning.Forget(card);
            using (var step = TrainingWorkload.Step(card, parsed.GetValue(model)!, parsed.GetValue(batch)))
                step.Run();
            foreach (var product in ProductTuning.Tune(card, host.Stop.Token))
                host.Output.WriteLine(Row(product));
            TuningFile.Add(card, path);
            host.Output.WriteLine($"kept in {path}");
            return ExitCode.Done;
        });
        return command;
    }

    private static string Row(TunedProduct product) => string.Create(
        CultureInfo.InvariantCulture,
        $"{product.Shape,-36} {product.Planned,-22} {product.PlannedMicroseconds,9:F1} us  {product.Best,-22} {product.BestMicroseconds,9:F1} us {product.FlopsPerSecond / 1e12,7:F1} TFLOP/s");
}
