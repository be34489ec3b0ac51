using System.Buffers.Binary;

namespace DtoKd.Models.Checkpoints;

/// <summary>Tells a checkpoint's format by its first bytes.</summary>
internal static class CheckpointFormat
{
    private const string SingleFile = "model.safetensors";

    /// <summary>Opens a file, or what a folder holds.</summary>
    /// <inheritdoc cref="CheckpointReader.Open"/>
    internal static CheckpointReader Open(string path)
    {
        if (Directory.Exists(path))
        {
            string inside = Path.Combine(path, SingleFile);
            path = File.Exists(inside) ? inside : throw new InvalidDataException($"{path}: the folder has no {SingleFile}");
        }
        return Open(FileBytes.Open(path));
    }

    /// <summary>Opens what is mapped already; takes it over, also when it is refused.</summary>
    internal static CheckpointReader Open(FileBytes file)
    {
        try
        {
            var start = file.Slice(0, (int)Math.Min(file.Length, 512));
            if (Refusal(start) is { } refusal)
                throw new InvalidDataException($"{file.Path}: {refusal}");
            return new SafetensorsReader(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What a file that is no checkpoint is instead; null when it may be a safetensors file, whole or cut.</summary>
    private static string? Refusal(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
            return "this is a Git LFS pointer, not the file it stands for; fetch it with 'git lfs pull'";
        if (start.StartsWith("<"u8))
            return "this is a web page or XML, not a checkpoint; was the download refused?";
        if (start.StartsWith("PK\u0003\u0004"u8) || start is [0x80, ..] and not [_, _, _, _, _, _, _, _, (byte)'{', ..])
            return "files of PyTorch are not read yet";
        if (start.Length >= SafetensorsHeader.LengthBytes
            && BinaryPrimitives.ReadUInt64LittleEndian(start) > SafetensorsHeader.MaxJsonBytes)
        {
            return $"the content is of no known format (it starts with {Convert.ToHexString(start[..8])}); "
                + "known are safetensors and PyTorch's zip and legacy files";
        }
        return null;
    }
}
