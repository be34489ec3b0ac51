using System.Buffers.Binary;
using DtoKd.Models.Checkpoints.PyTorch;

namespace DtoKd.Models.Checkpoints;

/// <summary>Tells a checkpoint's format by its first bytes.</summary>
internal static class CheckpointFormat
{
    private const string SingleFile = "model.safetensors";
    private const int TarMagicAt = 257;
    private const int MostNamed = 4;

    private static readonly string[] _endings = [".safetensors", ".pth", ".pt"];

    // Below as far as from a run's folder to its students' checkpoints.
    private static readonly EnumerationOptions _inside = new(), _below = new() { RecurseSubdirectories = true, MaxRecursionDepth = 2 };

    /// <summary>Opens a file, or what a folder holds.</summary>
    /// <inheritdoc cref="CheckpointReader.Open"/>
    internal static CheckpointReader Open(string path)
    {
        if (Directory.Exists(path))
        {
            string? inside = ((string[])[ShardIndex.FileName, SingleFile])
                .Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists);
            path = inside
                ?? throw new InvalidDataException($"{path}: the folder has no {ShardIndex.FileName} and no {SingleFile}; {Advice(path, _below)}");
        }
        string folder = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))!;
        return Open(First(path, folder), name => FileBytes.Open(Path.Combine(folder, name)));
    }

    /// <summary>Opens what is mapped already; takes it over, also when it is refused.</summary>
    /// <param name="file">The file.</param>
    /// <param name="openBeside">Opens another file of its folder, when it is an index.</param>
    internal static CheckpointReader Open(FileBytes file, Func<string, FileBytes> openBeside)
    {
        try
        {
            var start = file.Slice(0, (int)Math.Min(file.Length, 512));
            // First, because the length in front of a safetensors header can be any bytes.
            if (IsSafetensors(start))
                return new SafetensorsReader(file);
            if (start.StartsWith("PK"u8))
                return TorchReader.OpenZip(file);
            if (start is [0x80, >= 2 and <= 5, ..])
                return TorchReader.OpenLegacy(file);
            if (start.TrimStart(" \t\r\n"u8).StartsWith("{"u8))
                return ShardedReader.Open(file, openBeside);
            throw new InvalidDataException($"{file.Path}: {Refusal(start)}");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static FileBytes First(string path, string folder)
    {
        try
        {
            return FileBytes.Open(path);
        }
        catch (FileNotFoundException failure)
        {
            throw new FileNotFoundException($"{failure.Message}; {Advice(folder, _inside)}", failure);
        }
    }

    /// <summary>What may have been meant: some files with a checkpoint's ending.</summary>
    private static string Advice(string folder, EnumerationOptions where)
    {
        string[] found = Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, "*", where)
                .Where(file => _endings.Contains(Path.GetExtension(file))).Take(MostNamed)
                .Select(file => Path.GetRelativePath(folder, file)).Order(StringComparer.Ordinal)]
            : [];
        return found.Length > 0 ? $"in {folder} there are {string.Join(", ", found)}" : "name a safetensors or .pth file that is there";
    }

    private static bool IsSafetensors(ReadOnlySpan<byte> start) =>
        start.Length > SafetensorsHeader.LengthBytes && start[SafetensorsHeader.LengthBytes] == '{'
        && BinaryPrimitives.ReadUInt64LittleEndian(start) is var length
        && length <= SafetensorsHeader.MaxJsonBytes;

    /// <summary>What a file that is no checkpoint may be instead.</summary>
    private static string Refusal(ReadOnlySpan<byte> start)
    {
        if (start.IsEmpty)
            return "the file is empty";
        if (start.StartsWith("version https://git-lfs"u8))
            return "this is a Git LFS pointer, not the file it stands for; fetch it with 'git lfs pull'";
        if (start.StartsWith("<"u8))
            return "this is a web page or XML, not a checkpoint; was the download refused?";
        if (start.Length > TarMagicAt && start[TarMagicAt..].StartsWith("ustar"u8))
            return "this is a tar archive, PyTorch's format before 0.2; load it there and save it again";
        return $"the content is of no known format (it starts with {Convert.ToHexString(start[..Math.Min(8, start.Length)])}); "
            + "known are safetensors and the files of torch.save";
    }
}
