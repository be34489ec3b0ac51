using System.Buffers.Binary;
using System.Text;

namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>
/// Where the entries of a zip archive lie in the file. PyTorch stores them uncompressed, so that they can be read where they are;
/// a compressed entry is refused. Reads zip64. Sums (CRC-32) are not checked: PyTorch can be told to write none.
/// </summary>
internal sealed class ZipDirectory
{
    private const int EndBytes = 22;
    private const int LocatorBytes = 20;
    private const int End64Bytes = 56;
    private const int CentralBytes = 46;
    private const int LocalBytes = 30;
    private const uint Max32 = uint.MaxValue;

    private readonly FileBytes _file;
    private readonly Dictionary<string, (long Offset, long Length)> _entries = [];

    private ZipDirectory(FileBytes file) => _file = file;

    /// <summary>The entries by name: first byte in the file, and bytes.</summary>
    internal IReadOnlyDictionary<string, (long Offset, long Length)> Entries => _entries;

    /// <summary>Reads the central directory.</summary>
    /// <exception cref="InvalidDataException">The archive is damaged, or has a compressed or encrypted entry.</exception>
    internal static ZipDirectory Read(FileBytes file)
    {
        var directory = new ZipDirectory(file);
        var (offset, length, count) = directory.FindCentral();
        directory.ReadCentral(offset, length, count);
        return directory;
    }

    private InvalidDataException Error(long offset, string message) => new($"{_file.Path}: offset {offset}: {message}");

    private (long Offset, int Length, long Count) FindCentral()
    {
        // The end record is the last thing in the file, but for a comment of up to 64 KiB.
        int tail = (int)Math.Min(_file.Length, EndBytes + ushort.MaxValue);
        long tailAt = _file.Length - tail;
        int at = _file.Slice(tailAt, tail).LastIndexOf("PK\u0005\u0006"u8);
        if (at < 0 || tail - at < EndBytes)
            throw Error(_file.Length, "the zip archive has no directory at its end; the file is cut short");
        var end = _file.Slice(tailAt + at, EndBytes);
        long endAt = tailAt + at;
        ulong count = BinaryPrimitives.ReadUInt16LittleEndian(end[10..]);
        ulong length = BinaryPrimitives.ReadUInt32LittleEndian(end[12..]);
        ulong offset = BinaryPrimitives.ReadUInt32LittleEndian(end[16..]);
        long limit = endAt;
        var locator = endAt >= LocatorBytes ? _file.Slice(endAt - LocatorBytes, LocatorBytes) : [];
        if (locator.StartsWith("PK\u0006\u0007"u8))
        {
            ulong end64At = BinaryPrimitives.ReadUInt64LittleEndian(locator[8..]);
            if (endAt - LocatorBytes < End64Bytes || end64At > (ulong)(endAt - LocatorBytes - End64Bytes))
                throw Error(endAt - LocatorBytes, "the zip64 directory is said to be where it cannot be");
            var end64 = _file.Slice((long)end64At, End64Bytes);
            if (!end64.StartsWith("PK\u0006\u0006"u8))
                throw Error((long)end64At, "the zip64 directory is not where it is said to be");
            count = BinaryPrimitives.ReadUInt64LittleEndian(end64[32..]);
            length = BinaryPrimitives.ReadUInt64LittleEndian(end64[40..]);
            offset = BinaryPrimitives.ReadUInt64LittleEndian(end64[48..]);
            limit = (long)end64At;
        }
        if (offset > (ulong)limit || length > (ulong)limit - offset || length > int.MaxValue || count > length / CentralBytes)
            throw Error(endAt, $"a zip directory of {count} entries in {length} bytes at {offset} does not fit into the file");
        return ((long)offset, (int)length, (long)count);
    }

    private void ReadCentral(long offset, int length, long count)
    {
        var rest = _file.Slice(offset, length);
        for (long i = 0; i < count; i++)
        {
            long at = offset + length - rest.Length;
            if (rest.Length < CentralBytes || !rest.StartsWith("PK\u0001\u0002"u8))
                throw Error(at, "an entry of the zip directory does not start as it should");
            int nameBytes = BinaryPrimitives.ReadUInt16LittleEndian(rest[28..]);
            int extraBytes = BinaryPrimitives.ReadUInt16LittleEndian(rest[30..]);
            int commentBytes = BinaryPrimitives.ReadUInt16LittleEndian(rest[32..]);
            if (rest.Length < CentralBytes + nameBytes + extraBytes + commentBytes)
                throw Error(at, "an entry of the zip directory is cut short");
            string name = Encoding.UTF8.GetString(rest.Slice(CentralBytes, nameBytes));
            Add(at, name, rest[..CentralBytes], rest.Slice(CentralBytes + nameBytes, extraBytes), offset);
            rest = rest[(CentralBytes + nameBytes + extraBytes + commentBytes)..];
        }
    }

    private void Add(long at, string name, ReadOnlySpan<byte> central, ReadOnlySpan<byte> extra, long dataEnd)
    {
        int flags = BinaryPrimitives.ReadUInt16LittleEndian(central[8..]);
        int method = BinaryPrimitives.ReadUInt16LittleEndian(central[10..]);
        ulong packed = BinaryPrimitives.ReadUInt32LittleEndian(central[20..]);
        ulong size = BinaryPrimitives.ReadUInt32LittleEndian(central[24..]);
        ulong localAt = BinaryPrimitives.ReadUInt32LittleEndian(central[42..]);
        var wide = Zip64(extra);
        if (!(Widen(ref size, ref wide) && Widen(ref packed, ref wide) && Widen(ref localAt, ref wide)))
            throw Error(at, $"zip entry {Quoting.Quote(name)} lacks its 64-bit sizes");
        if ((flags & 1) != 0)
            throw Error(at, $"zip entry {Quoting.Quote(name)} is encrypted");
        if (method != 0 || packed != size)
        {
            throw Error(at, $"zip entry {Quoting.Quote(name)} is compressed, which PyTorch does not do; "
                + "load it and save it again with torch.save");
        }
        if (localAt > (ulong)dataEnd || (ulong)dataEnd - localAt < LocalBytes)
            throw Error(at, $"zip entry {Quoting.Quote(name)} is said to start at {localAt}, behind the data");
        var local = _file.Slice((long)localAt, LocalBytes);
        if (!local.StartsWith("PK\u0003\u0004"u8))
            throw Error((long)localAt, $"zip entry {Quoting.Quote(name)} does not start as it should");
        long start = (long)localAt + LocalBytes
            + BinaryPrimitives.ReadUInt16LittleEndian(local[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(local[28..]);
        if (start > dataEnd || size > (ulong)(dataEnd - start))
            throw Error((long)localAt, $"zip entry {Quoting.Quote(name)} of {size} bytes reaches behind the data");
        if (!_entries.TryAdd(name, (start, (long)size)))
            throw Error(at, $"zip entry {Quoting.Quote(name)} appears twice");
    }

    /// <summary>Takes a field's 64 bits where its 32 say that they are too few; false when they are missing.</summary>
    private static bool Widen(ref ulong field, ref ReadOnlySpan<byte> wide)
    {
        if (field != Max32)
            return true;
        if (wide.Length < 8)
            return false;
        field = BinaryPrimitives.ReadUInt64LittleEndian(wide);
        wide = wide[8..];
        return true;
    }

    /// <summary>The 64-bit fields among an entry's extra fields; empty when there are none.</summary>
    private static ReadOnlySpan<byte> Zip64(ReadOnlySpan<byte> extra)
    {
        while (extra.Length >= 4)
        {
            int id = BinaryPrimitives.ReadUInt16LittleEndian(extra);
            int length = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]), extra.Length - 4);
            if (id == 1)
                return extra.Slice(4, length);
            extra = extra[(4 + length)..];
        }
        return [];
    }
}
