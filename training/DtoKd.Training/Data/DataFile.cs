using System.IO.Compression;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Training.Data;

/// <summary>
/// Reads a data file from front to back, gzipped or not (its first two bytes tell). Every failure is an
/// <see cref="InvalidDataException"/> of one line with the file's name.
/// </summary>
internal sealed class DataFile : IDisposable
{
    private const int FirstChunk = 1 << 16;

    private readonly Stream _stream;

    private DataFile(string path, Stream stream)
    {
        Path = path;
        _stream = stream;
    }

    internal string Path { get; }

    /// <summary>Bytes read so far, after unpacking.</summary>
    internal long Position { get; private set; }

    internal static DataFile Open(string path)
    {
        var file = InputFile.Open(path);
        bool packed = file.ReadByte() == 0x1F && file.ReadByte() == 0x8B;
        file.Position = 0;
        return new DataFile(path, packed ? new GZipStream(file, CompressionMode.Decompress) : file);
    }

    /// <summary>The first of the names that is in the folder, with .gz or without.</summary>
    internal static string Find(string folder, params ReadOnlySpan<string> names)
    {
        RequireFolder(folder);
        foreach (string name in names)
        {
            foreach (string candidate in new[] { name, name + ".gz" })
            {
                string path = System.IO.Path.Combine(folder, candidate);
                if (File.Exists(path))
                    return path;
            }
        }
        throw new InvalidDataException($"{folder}: found none of {string.Join(", ", names.ToArray())}, with or without .gz");
    }

    /// <summary>Throws unless a folder is there and can be listed.</summary>
    internal static void RequireFolder(string folder)
    {
        if (!Directory.Exists(folder))
            throw new InvalidDataException($"{folder}: there is no such folder");
        try
        {
            using var entries = Directory.EnumerateFileSystemEntries(folder).GetEnumerator();
        }
        catch (UnauthorizedAccessException)
        {
            throw new InvalidDataException($"{folder}: the folder may not be read; give the permission (chmod)");
        }
    }

    internal InvalidDataException Error(string message) => new($"{Path}: {message}");

    /// <summary>The next bytes; what the file claims to have is believed only as far as it comes.</summary>
    /// <param name="count">How many.</param>
    /// <param name="what">What they are, for the message.</param>
    internal byte[] Read(long count, string what)
    {
        if (count > Array.MaxLength)
            throw Error($"{what} of {count} bytes is more than can be held");
        var bytes = ReadUpTo((int)count);
        return bytes.Length == count
            ? bytes
            : throw Error($"{what} is cut short: {count} bytes expected from offset {Position - bytes.Length}, "
                + $"{bytes.Length} found");
    }

    /// <summary>Everything to the end of the file.</summary>
    internal byte[] ReadToEnd()
    {
        var bytes = ReadUpTo(Array.MaxLength);
        ExpectEnd();
        return bytes;
    }

    internal void ExpectEnd()
    {
        if (ReadSome(new byte[1]) != 0)
            throw Error($"there are bytes behind the expected end at offset {Position - 1}");
    }

    public void Dispose() => _stream.Dispose();

    private byte[] ReadUpTo(int count)
    {
        var bytes = new byte[Math.Min(count, FirstChunk)];
        int filled = 0;
        while (true)
        {
            int read = ReadSome(bytes.AsSpan(filled));
            filled += read;
            if (read == 0 || filled == count)
                break;
            if (filled == bytes.Length)
                Array.Resize(ref bytes, (int)Math.Min(count, 2L * bytes.Length));
        }
        Array.Resize(ref bytes, filled);
        return bytes;
    }

    private int ReadSome(Span<byte> bytes)
    {
        try
        {
            int read = _stream.Read(bytes);
            Position += read;
            return read;
        }
        catch (InvalidDataException e)
        {
            throw Error($"the gzip data is damaged after {Position} unpacked bytes ({e.Message})");
        }
    }
}
