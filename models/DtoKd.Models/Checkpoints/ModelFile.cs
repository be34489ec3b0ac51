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
    /// <param name="options">What of the file is taken.</param>
    /// <returns>What was translated, fitted or left out, one line each.</returns>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, or names or shapes differ; all differences are in the message and nothing was changed.
    /// </exception>
    public static IReadOnlyList<string> Load(string path, ParameterArena arena, LoadOptions? options = null)
    {
        using var file = CheckpointReader.Open(path);
        return Load(file, arena, options);
    }

    /// <summary>Reads the parameters and buffers of an arena from an open file.</summary>
    /// <inheritdoc cref="Load(string, ParameterArena, LoadOptions)"/>
    public static IReadOnlyList<string> Load(CheckpointReader file, ParameterArena arena, LoadOptions? options = null) =>
        new ModelLoading(file, arena, options ?? new LoadOptions()).Run();

    /// <summary>Adds a tensor's elements to a file that is being put together.</summary>
    public static void Add(SafetensorsWriter writer, string name, Tensor tensor)
    {
        var shape = tensor.Shape.Select(size => (long)size).ToArray();
        switch (tensor.DType)
        {
            case DType.F32:
                writer.Add(name, SafetensorsType.F32, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.ReadOnHost<float>())));
                break;
            case DType.F64:
                writer.Add(name, SafetensorsType.F64, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.ReadOnHost<double>())));
                break;
            case DType.I64:
                writer.Add(name, SafetensorsType.I64, shape, stream => stream.Write(MemoryMarshal.AsBytes(tensor.ReadOnHost<long>())));
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
                using (var room = tensor.OnHost<float>())
                    file.CopyTo(name, room.Span);
                break;
            case DType.F64:
                using (var room = tensor.OnHost<double>())
                    file.CopyTo(name, room.Span);
                break;
            case DType.I64:
                using (var room = tensor.OnHost<long>())
                    file.CopyTo(name, room.Span);
                break;
            default:
                throw new NotSupportedException($"{name}: {tensor.DType} tensors are not part of checkpoints");
        }
    }

    internal static IEnumerable<(string Name, Tensor Value)> Named(ParameterArena arena) =>
        arena.Parameters.Select(parameter => (parameter.Name, parameter.Value))
            .Concat(arena.Buffers.Select(buffer => (buffer.Name, buffer.Value)));
}
