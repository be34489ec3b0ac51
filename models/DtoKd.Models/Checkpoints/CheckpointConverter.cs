using System.Runtime.InteropServices;

namespace DtoKd.Models.Checkpoints;

/// <summary>Whose names a converted checkpoint has.</summary>
public enum NamingScheme
{
    /// <summary>timm's of today, which the networks here have too.</summary>
    Timm,

    /// <summary>torchvision's, for RegNetY, Swin and the plain vision transformer.</summary>
    Torchvision,
}

/// <summary>What <see cref="CheckpointConverter"/> makes of a file.</summary>
public sealed record ConversionOptions
{
    /// <summary>Whose names the new file has.</summary>
    public NamingScheme To { get; init; }

    /// <summary>The type of floating-point tensors in the new file; as they are when null.</summary>
    public SafetensorsType? FloatType { get; init; }

    /// <summary>Whether to take the average of the weights over the training run where the file has both.</summary>
    public bool Average { get; init; }
}

/// <summary>Rewrites the network of any checkpoint as a safetensors file.</summary>
public static class CheckpointConverter
{
    private const string BiasTable = ".relative_position_bias_table";

    /// <summary>Converts a file.</summary>
    /// <param name="file">The checkpoint, of any format that <see cref="CheckpointReader.Open"/> knows.</param>
    /// <param name="to">The new file; what stood there is replaced as a whole.</param>
    /// <param name="options">Names and types of the new file.</param>
    /// <returns>What was chosen and translated, one line each.</returns>
    /// <exception cref="InvalidDataException">The file is damaged, holds no tensor, or torchvision has no such network.</exception>
    public static IReadOnlyList<string> Convert(CheckpointReader file, string to, ConversionOptions options)
    {
        var names = CheckpointNames.Of(file, options.Average);
        if (names.Entries.Count == 0)
            throw new InvalidDataException($"{file.FilePath} holds no tensor to convert");
        var map = options.To == NamingScheme.Torchvision ? MapFor(file.FilePath, names) : null;
        var writer = new SafetensorsWriter();
        // Other formats keep a training run's settings there, which say nothing of the network.
        if (file is SafetensorsReader)
        {
            foreach (var (key, value) in file.Metadata)
                writer.SetMetadata(key, value);
        }

        writer.SetMetadata("format", "pt");
        foreach (var (timm, entry) in names.Entries)
        {
            string name = map?.FromTimm(timm) ?? timm;
            Add(writer, name, file, entry, options.FloatType);
            if (map is TorchvisionSwin && name.EndsWith(BiasTable, StringComparison.Ordinal))
                AddIndex(writer, name, entry);
        }

        writer.Write(to);
        return [.. names.Notes, $"written: {names.Entries.Count} tensors by the names of {map?.Source ?? "timm"}"];
    }

    private static WritableKeyMap MapFor(string path, CheckpointNames names)
    {
        var present = names.Entries.Keys.ToHashSet(StringComparer.Ordinal);
        return KeyMap.All.OfType<WritableKeyMap>().FirstOrDefault(map => map.CanName(present))
            ?? throw new InvalidDataException(
                $"{path}: torchvision has no network with these tensors; RegNetY, Swin and the plain vision transformer can be converted");
    }

    private static void Add(
        SafetensorsWriter writer, string name, CheckpointReader file, CheckpointEntry entry, SafetensorsType? floatType)
    {
        bool isFloat = entry.Type is SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.F32 or SafetensorsType.F64;
        var type = isFloat ? floatType ?? entry.Type : entry.Type;
        long[] shape = [.. entry.Shape];
        writer.Add(name, type, shape, stream => stream.Write(type == entry.Type
            ? file.ReadBytes(entry.Name)
            : Converted(file.ReadFloat32(entry.Name), type)));
    }

    private static ReadOnlySpan<byte> Converted(float[] values, SafetensorsType type) => type switch
    {
        SafetensorsType.F32 => MemoryMarshal.AsBytes(values.AsSpan()),
        SafetensorsType.F16 => MemoryMarshal.AsBytes(Array.ConvertAll(values, value => (Half)value).AsSpan()),
        SafetensorsType.BF16 => MemoryMarshal.AsBytes(Array.ConvertAll(values, ToBFloat16).AsSpan()),
        _ => throw new ArgumentException($"floating-point tensors are written as F32, F16 or BF16, not {type}"),
    };

    /// <summary>The upper half of a single, rounded to the nearest, ties to even.</summary>
    private static ushort ToBFloat16(float value)
    {
        const uint QuietBit = 0x40, HalfBelow = 0x7FFF;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value)
            ? (ushort)((bits >> 16) | QuietBit)
            : (ushort)((bits + HalfBelow + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>torchvision keeps, beside each bias table, which row of it belongs to which pair of positions.</summary>
    private static void AddIndex(SafetensorsWriter writer, string table, CheckpointEntry entry)
    {
        int window = ((int)Math.Sqrt(entry.Shape[0]) + 1) / 2;
        long[] index = SwinBuffers.RelativePositionIndex(window);
        writer.Add(table[..^BiasTable.Length] + ".relative_position_index", [index.Length], (ReadOnlyMemory<long>)index);
    }
}
