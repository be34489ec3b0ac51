namespace DtoKd.Models.Checkpoints;

/// <summary>Opens files to read, by the names that people give; what stands in the way is one line that says where and what to do.</summary>
public static class InputFile
{
    private const int BufferBytes = 1 << 12;

    /// <summary>Opens a file at its first byte.</summary>
    /// <param name="path">The file.</param>
    /// <param name="share">What others may do to it meanwhile.</param>
    /// <param name="bufferBytes">The stream's buffer; 0 for none.</param>
    /// <exception cref="FileNotFoundException">There is no such file; the message says which part of its path is missing.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is a folder.</exception>
    public static FileStream Open(string path, FileShare share = FileShare.Read, int bufferBytes = BufferBytes)
    {
        if (Directory.Exists(path))
            throw new UnauthorizedAccessException($"{path} is a folder; a file is needed");
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, share, bufferBytes);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FileNotFoundException($"there is no file {path}{Missing(path)}", failure);
        }
        catch (UnauthorizedAccessException failure)
        {
            throw new UnauthorizedAccessException($"{path} may not be read; give the permission, for the file and its folders (chmod)", failure);
        }
    }

    /// <summary>All bytes of a file.</summary>
    /// <inheritdoc cref="Open"/>
    public static byte[] ReadAllBytes(string path)
    {
        using var stream = Open(path, bufferBytes: 0);
        var bytes = new MemoryStream(checked((int)stream.Length));
        stream.CopyTo(bytes);
        return bytes.Length == bytes.Capacity ? bytes.GetBuffer() : bytes.ToArray();
    }

    /// <summary>Where the path ends that was given: nothing if only the file itself is not there.</summary>
    private static string Missing(string path)
    {
        if (new FileInfo(path).LinkTarget is { } target)
            return $": the link leads to {target}, which is not there";
        string folder = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))) ?? "/";
        string there = folder;
        while (!Path.Exists(there))
            there = Path.GetDirectoryName(there) ?? "/";
        return File.Exists(there) ? $": {there} is a file, not a folder"
            : there != folder ? $": there is no folder {folder}"
            : "";
    }
}
