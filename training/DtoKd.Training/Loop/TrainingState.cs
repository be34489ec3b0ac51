using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DtoKd.Engine;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Training.Loop;

/// <summary>
/// All that a run needs to go on as if it had not been stopped, in one safetensors file: parameters, buffers, the optimiser's
/// moments, the balancer's state, the sums of the epoch under way and the number of steps done. Random numbers and the order
/// of images are functions of seed and step, so they need no state.
/// </summary>
internal static class TrainingState
{
    private const string StepsKey = "steps";
    private const string BestKey = "best";
    private const string BalancerKey = "balancer";
    private const string LayoutKey = "layout";

    public static void Save(string path, ParameterArena arena, Trainer trainer, EpochTotals totals, double best)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata(StepsKey, trainer.StepsDone.ToString(CultureInfo.InvariantCulture));
        writer.SetMetadata(BestKey, best.ToString("R", CultureInfo.InvariantCulture));
        writer.SetMetadata(BalancerKey, trainer.Balancer.Name);
        writer.SetMetadata(LayoutKey, LayoutOf(arena));
        foreach (var (name, tensor) in Tensors(arena, trainer))
            ModelFile.Add(writer, name, tensor);
        foreach (var (name, values) in trainer.Balancer.SaveState())
            writer.Add($"balancer.{name}", [values.Length], values);
        foreach (var (name, values) in totals.SaveState())
            writer.Add($"epoch.{name}", [values.Length], values);
        writer.Write(path);
    }

    /// <summary>Whether a file is what <see cref="Save"/> wrote.</summary>
    public static bool IsIn(CheckpointReader file) => file.Metadata.ContainsKey(StepsKey) && file.Metadata.ContainsKey(LayoutKey);

    /// <summary>The networks that a run has left beside its state, for people.</summary>
    public static string Beside(string path)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        string[] there = [.. new[] { CheckpointFiles.Best, CheckpointFiles.Last }.Where(name => File.Exists(Path.Combine(folder, name)))];
        return there.Length > 0
            ? $"the network is in {string.Join(" and ", there)} beside it"
            : "there is no network beside it, as no epoch was finished";
    }

    /// <summary>Restores a run and returns the best accuracy so far.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or of another run; the message says what can be done.</exception>
    public static double Load(string path, ParameterArena arena, Trainer trainer, EpochTotals totals)
    {
        try
        {
            return Read(path, arena, trainer, totals);
        }
        catch (InvalidDataException failure)
        {
            throw new InvalidDataException(
                $"{failure.Message}; {Beside(path)}; without this file the run begins again at its first step, and finished runs of the folder stay",
                failure);
        }
    }

    private static double Read(string path, ParameterArena arena, Trainer trainer, EpochTotals totals)
    {
        using var file = SafetensorsReader.Open(path);
        if (!long.TryParse(file.Metadata.GetValueOrDefault(StepsKey), CultureInfo.InvariantCulture, out long steps) || steps < 0)
            throw new InvalidDataException($"{path} is not the state of a run: it does not say how many steps were done");
        if (!double.TryParse(file.Metadata.GetValueOrDefault(BestKey), CultureInfo.InvariantCulture, out double best))
            throw new InvalidDataException($"{path} is not the state of a run: it does not say the best accuracy");
        if (file.Metadata.GetValueOrDefault(BalancerKey) != trainer.Balancer.Name)
            throw new InvalidDataException($"{path} is of a run weighed by '{file.Metadata.GetValueOrDefault(BalancerKey)}', not '{trainer.Balancer.Name}'");
        if (file.Metadata.GetValueOrDefault(LayoutKey) != LayoutOf(arena))
            throw new InvalidDataException($"{path} does not fit this run: its parameters are of another network, or of another version of this program");
        foreach (var (name, tensor) in Tensors(arena, trainer))
        {
            if (!file.Contains(name) || !file[name].Shape.SequenceEqual(tensor.Shape.Select(size => (long)size)))
                throw new InvalidDataException($"{path} does not fit this run: {name} should be {tensor.Shape}");
            ModelFile.Read(file, name, tensor);
        }

        trainer.Balancer.LoadState(Entries(file, "balancer."));
        totals.LoadState(Entries(file, "epoch."));
        trainer.StepsDone = trainer.Optimiser.Steps = steps;
        return best;
    }

    /// <summary>A checksum of what lies where in the flat buffers, which are saved without names.</summary>
    private static string LayoutOf(ParameterArena arena)
    {
        var layout = new StringBuilder();
        foreach (var parameter in arena.Parameters)
            layout.Append(CultureInfo.InvariantCulture, $"{parameter.Name} {parameter.Shape} {parameter.Offset}\n");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(layout.ToString())).AsSpan(0, 8));
    }

    private static IEnumerable<(string Name, Tensor Value)> Tensors(ParameterArena arena, Trainer trainer) =>
    [
        ("parameters", arena.Flat),
        .. arena.Buffers.Select(buffer => ($"buffer.{buffer.Name}", buffer.Value)),
        .. trainer.Optimiser.Moments.Select(moment => ($"optimiser.{moment.Name}", moment.Value)),
    ];

    private static Dictionary<string, double[]> Entries(SafetensorsReader file, string prefix) =>
        file.Entries.Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(entry => entry.Name[prefix.Length..], entry => file.ReadFloat64(entry.Name));
}
