using System.Buffers.Binary;
using System.Text;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Models.Tests.Checkpoints.PyTorch;

/// <summary>Pickles and the files around them, byte by byte.</summary>
internal static class PickleBytes
{
    /// <summary>A pickle from texts (as Latin-1), bytes and other parts; the protocol in front and the stop behind are added.</summary>
    internal static byte[] Pickle(params object[] parts) => [0x80, 2, .. Join(parts), (byte)'.'];

    internal static byte[] Join(params object[] parts)
    {
        var bytes = new List<byte>();
        foreach (object part in parts)
        {
            switch (part)
            {
                case string text: bytes.AddRange(Encoding.Latin1.GetBytes(text)); break;
                case byte[] raw: bytes.AddRange(raw); break;
                case int value: bytes.Add((byte)value); break;
            }
        }
        return [.. bytes];
    }

    /// <summary>A text as protocol 2 writes it.</summary>
    internal static byte[] Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text), bytes = new byte[5 + utf8.Length];
        bytes[0] = (byte)'X';
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), utf8.Length);
        utf8.CopyTo(bytes, 5);
        return bytes;
    }

    /// <summary>An integer of up to 8 bytes.</summary>
    internal static byte[] Number(long value)
    {
        byte[] bytes = [0x8A, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(2), value);
        return bytes;
    }

    /// <summary>A tensor of singles over a storage of 4 elements called "0".</summary>
    internal static byte[] Tensor(byte[] offset, byte[] size, byte[] stride, string storage = "FloatStorage", long count = 4) => Join(
        "ctorch._utils\n_rebuild_tensor_v2\n((", Text("storage"), $"ctorch\n{storage}\n", Text("0"), Text("cpu"), Number(count), "tQ",
        offset, size, stride, 0x89, "ccollections\nOrderedDict\n)R", "tR");

    /// <summary>A tuple of integers.</summary>
    internal static byte[] Tuple(params long[] values) => Join(["(", .. values.Select(Number), "t"]);

    /// <summary>A zip archive with stored entries.</summary>
    internal static byte[] Zip(params (string Name, byte[] Content)[] entries)
    {
        var stream = new MemoryStream();
        using (var zip = new System.IO.Compression.ZipArchive(stream, System.IO.Compression.ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content) in entries)
            {
                using var entry = zip.CreateEntry(name, System.IO.Compression.CompressionLevel.NoCompression).Open();
                entry.Write(content);
            }
        }
        return stream.ToArray();
    }

    /// <summary>A file in the zip format with this object and a storage "0" of 16 bytes.</summary>
    internal static byte[] ZipOf(byte[] pickle) => Zip(("archive/data.pkl", pickle), ("archive/data/0", new byte[16]));

    /// <summary>A file in the older format with this object and a storage "0" of 4 singles, if it is asked for.</summary>
    internal static byte[] LegacyOf(byte[] pickle, bool storage = true) => Join(
        new byte[] { 0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.' },
        Pickle("M", new byte[] { 0xE9, 3 }), Pickle("}", Text("little_endian"), 0x88, "s"),
        pickle, storage ? Pickle("](", Text("0"), "e") : Pickle("]"),
        storage ? (byte[])[4, 0, 0, 0, 0, 0, 0, 0, .. new byte[16]] : []);

    internal static CheckpointReader Open(byte[] file) => CheckpointFormat.Open(
        new FileBytes("made.pt", file), name => throw new FileNotFoundException(name));
}
