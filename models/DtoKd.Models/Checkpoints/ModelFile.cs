using System.Runtime.InteropServices;
using DtoKd.Engine;

namespace DtoKd.Models.Checkpoints;

/// <summary>A network's parameters and buffers as a safetensors file, by the names that timm uses.</summary>
public static class ModelFile
{
    /// <summary>Writes the parameters and buffers of an arena; what stood at <paramref name="path"/> is replaced as a whole.</summary>
    /// <param name="path">The file.</param>
    /// <param name="arena">The network's arena.</param>
    /// <param name="metadata">Text stored with it.</param>
    /// <param name="include">Which names to write; all when null.</param>
    public static void Save(
        string path, ParameterArena arena, IReadOnlyDictionary<string, string> metadata, Func<string, bool>? include = null)
    {
        var writer = new SafetensorsWriter();
        foreach (var (key, value) in metadata)
            writer.SetMetadata(key, value);
        foreach (var (name, tensor) in Named(arena))
        {
            if (include?.Invoke(name) ?? true)
                Add(writer, name, tensor);
        }

        writer.Write(path);
    }

    /// <summary>Reads the parameters and buffers of an arena.</summary>
    /// <param name="path">The file, of any format that <see cref="CheckpointReader.Open"/> knows.</param>
    /// <param name="arena">The network's arena, sealed.</param>
    /// <param name="include">Which names the file should have; all when null.</param>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, or names or shapes differ; all differences are in the message and nothing was changed.
    /// </exception>
    public static void Load(string path, ParameterArena arena, Func<string, bool>? include = null)
    {
        using var file = CheckpointReader.Open(path);
        Load(file, arena, include);
    }

    /// <summary>Reads the parameters and buffers of an arena from an open file.</summary>
    /// <inheritdoc cref="Load(string, ParameterArena, Func{string, bool})"/>
    public static void Load(CheckpointReader file, ParameterArena arena, Func<string, bool>? include = null)
    {
        var wanted = Named(arena).Where(pair => include?.Invoke(pair.Name) ?? true).ToList();
        var differences = new List<string>();
        foreach (var (name, tensor) in wanted)
        {
            if (!file.Contains(name))
                differences.Add($"missing {name} {tensor.Shape}");
            else if (!file[name].Shape.SequenceEqual(tensor.Shape.Select(size => (long)size)))
                differences.Add($"{name} is {file[name].ShapeText}, the network has {tensor.Shape}");
        }

        var names = wanted.Select(pair => pair.Name).ToHashSet();
        differences.AddRange(file.Entries
            .Where(entry => !names.Contains(entry.Name)).Select(entry => $"unexpected {entry.Name} {entry.ShapeText}"));
        if (differences.Count > 0)
        {
            const int Most = 12;
            string more = differences.Count > Most ? $"; and {differences.Count - Most} more" : "";
            throw new InvalidDataException(
                $"{file.FilePath} does not fit the network: {string.Join("; ", differences.Take(Most))}{more}");
        }

        foreach (var (name, tensor) in wanted)
            Read(file, name, tensor);
    }

    /// <summary>Adds a tensor's elements to a file that is being put together.</summary>
    public static void Add(SafetensorsWriter writer, string name, Tensor tensor)
    {
        var shape = tensor.Shape.Select(size => (long)size).ToArray();
        switch (tensor.DType)
        {
            case DType.F32:
                writer.Add(name, SafetensorsType.F32, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.Span<float>())));
                break;
            case DType.F64:
                writer.Add(name, SafetensorsType.F64, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.Span<double>())));
                break;
            case DType.I64:
                writer.Add(name, SafetensorsType.I64, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.Span<long>())));
                break;
            default:
                throw new NotSupportedException($"{name}: {tensor.DType} tensors are not part of checkpoints");
        }
    }

    /// <summary>Copies an entry of a file into a tensor of its shape, converting to the tensor's type.</summary>
    public static void Read(CheckpointReader file, string name, Tensor tensor)
    {
        switch (tensor.DType)
        {
            case DType.F32:
                file.CopyTo(name, tensor.Span<float>());
                break;
            case DType.F64:
                file.CopyTo(name, tensor.Span<double>());
                break;
            case DType.I64:
                file.CopyTo(name, tensor.Span<long>());
                break;
            default:
                throw new NotSupportedException($"{name}: {tensor.DType} tensors are not part of checkpoints");
        }
    }

    private static IEnumerable<(string Name, Tensor Value)> Named(ParameterArena arena) =>
        arena.Parameters.Select(parameter => (parameter.Name, parameter.Value))
            .Concat(arena.Buffers.Select(buffer => (buffer.Name, buffer.Value)));
}
