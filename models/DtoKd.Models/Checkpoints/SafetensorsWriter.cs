using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Collects tensors and writes them as one safetensors file. The bytes depend on the tensors and metadata only, not on the order
/// of the calls: wide types first (so that every tensor is aligned to its element), then by name; metadata by key.
/// </summary>
/// <remarks>Holds no copies: what is added must stay as it is until the file is written.</remarks>
public sealed class SafetensorsWriter
{
    private const int Alignment = 8;

    private readonly Dictionary<string, Item> _items = [];
    private readonly SortedDictionary<string, string> _metadata = new(StringComparer.Ordinal);

    /// <summary>Adds a pair to <c>__metadata__</c>, replacing an older value of the key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    public void SetMetadata(string key, string value) => _metadata[key] = value;

    /// <summary>Adds a tensor whose bytes are produced when the file is written.</summary>
    /// <param name="name">A name not used yet.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">The dimensions; empty for a scalar, zeros allowed.</param>
    /// <param name="write">Writes exactly the tensor's bytes, row-major and little-endian.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or a dimension is negative.</exception>
    public void Add(string name, SafetensorsType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        if (name == SafetensorsHeader.MetadataKey)
            throw new ArgumentException($"'{name}' is reserved by the format", nameof(name));
        long bytes = type.ByteWidth();
        foreach (long dimension in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(dimension, nameof(shape));
            bytes = checked(bytes * dimension);
        }
        if (!_items.TryAdd(name, new Item(name, type, shape.ToArray(), bytes, write)))
            throw new ArgumentException($"tensor '{name}' was added twice", nameof(name));
    }

    /// <summary>Adds a tensor from its bytes.</summary>
    /// <param name="name">A name not used yet.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">The dimensions; empty for a scalar, zeros allowed.</param>
    /// <param name="bytes">Row-major and little-endian.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or the shape needs another number of bytes.</exception>
    public void Add(string name, SafetensorsType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> bytes)
    {
        CheckCount(name, shape, bytes.Length, type.ByteWidth());
        Add(name, type, shape, stream => stream.Write(bytes.Span));
    }

    /// <summary>Adds a tensor of singles.</summary>
    /// <param name="name">A name not used yet.</param>
    /// <param name="shape">The dimensions; empty for a scalar, zeros allowed.</param>
    /// <param name="values">The elements, row-major.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or the shape has another size.</exception>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<float> values) =>
        AddValues(name, SafetensorsType.F32, shape, values);

    /// <summary>Adds a tensor of doubles.</summary>
    /// <inheritdoc cref="Add(string, ReadOnlySpan{long}, ReadOnlyMemory{float})"/>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<double> values) =>
        AddValues(name, SafetensorsType.F64, shape, values);

    /// <summary>Adds a tensor of 64-bit integers.</summary>
    /// <inheritdoc cref="Add(string, ReadOnlySpan{long}, ReadOnlyMemory{float})"/>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<long> values) =>
        AddValues(name, SafetensorsType.I64, shape, values);

    /// <summary>Writes the file, replacing an older one only when everything is on the disk (<see cref="AtomicFile"/>).</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="cancellation">Looked at between tensors; a cancelled write leaves the old file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="InvalidOperationException">A delegate wrote another number of bytes than the shape asks.</exception>
    public void Write(string path, CancellationToken cancellation = default) =>
        AtomicFile.Write(path, stream => WriteTo(stream, cancellation));

    internal IEnumerable<string> Names => _items.Keys.Order(StringComparer.Ordinal);

    /// <summary>Bytes of all tensors.</summary>
    internal long TotalBytes => _items.Values.Sum(item => item.Bytes);

    /// <summary>The same tensors in the order of their names, as one or more writers of at most so many bytes of tensors.</summary>
    /// <remarks>A larger tensor is alone in its writer. The metadata is in all of them.</remarks>
    internal IReadOnlyList<SafetensorsWriter> Split(long maxBytes)
    {
        List<SafetensorsWriter> parts = [];
        long bytes = 0;
        foreach (var item in _items.Values.OrderBy(item => item.Name, StringComparer.Ordinal))
        {
            if (parts.Count == 0 || item.Bytes > maxBytes - bytes)
            {
                parts.Add(WithMetadata());
                bytes = 0;
            }
            parts[^1]._items.Add(item.Name, item);
            bytes += item.Bytes;
        }
        return parts.Count > 0 ? parts : [WithMetadata()];
    }

    internal void WriteTo(Stream stream, CancellationToken cancellation = default)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("safetensors files are written on little-endian machines only");
        var ordered = _items.Values
            .OrderByDescending(item => item.Type.ByteWidth())
            .ThenBy(item => item.Name, StringComparer.Ordinal)
            .ToList();
        stream.Write(Header(ordered));
        foreach (var item in ordered)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = stream.Position;
            item.Write(stream);
            if (stream.Position - start != item.Bytes)
            {
                throw new InvalidOperationException(
                    $"tensor '{item.Name}' needs {item.Bytes} bytes, but {stream.Position - start} were written");
            }
        }
    }

    private SafetensorsWriter WithMetadata()
    {
        var writer = new SafetensorsWriter();
        foreach (var (key, value) in _metadata)
            writer.SetMetadata(key, value);
        return writer;
    }

    private static void CheckCount(string name, ReadOnlySpan<long> shape, long given, int width)
    {
        long needed = width;
        foreach (long dimension in shape)
            needed = checked(needed * dimension);
        if (needed != given)
        {
            throw new ArgumentException($"tensor '{name}' of shape [{string.Join(", ", shape.ToArray())}] needs {needed} bytes, "
                + $"but {given} are given");
        }
    }

    private void AddValues<T>(string name, SafetensorsType type, ReadOnlySpan<long> shape, ReadOnlyMemory<T> values)
        where T : unmanaged
    {
        CheckCount(name, shape, (long)values.Length * type.ByteWidth(), type.ByteWidth());
        Add(name, type, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.Span)));
    }

    private byte[] Header(List<Item> ordered)
    {
        var buffer = new ArrayBufferWriter<byte>();
        // Names are written as they are, not as \u escapes: the header is no HTML.
        var options = new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var json = new Utf8JsonWriter(buffer, options))
        {
            json.WriteStartObject();
            if (_metadata.Count > 0)
            {
                json.WriteStartObject(SafetensorsHeader.MetadataKey);
                foreach (var (key, value) in _metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            long offset = 0;
            foreach (var item in ordered)
            {
                json.WriteStartObject(item.Name);
                json.WriteString("dtype", item.Type.FileName());
                WriteNumbers(json, "shape", item.Shape);
                WriteNumbers(json, "data_offsets", [offset, offset + item.Bytes]);
                json.WriteEndObject();
                offset += item.Bytes;
            }
            json.WriteEndObject();
        }
        int padded = (buffer.WrittenCount + Alignment - 1) / Alignment * Alignment;
        if (padded > SafetensorsHeader.MaxJsonBytes)
        {
            throw new InvalidOperationException(
                $"the header takes {padded} bytes; the format allows {SafetensorsHeader.MaxJsonBytes}");
        }
        var header = new byte[SafetensorsHeader.LengthBytes + padded];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)padded);
        header.AsSpan(SafetensorsHeader.LengthBytes).Fill((byte)' ');
        buffer.WrittenSpan.CopyTo(header.AsSpan(SafetensorsHeader.LengthBytes));
        return header;
    }

    private static void WriteNumbers(Utf8JsonWriter json, string key, ReadOnlySpan<long> numbers)
    {
        json.WriteStartArray(key);
        foreach (long number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private sealed record Item(string Name, SafetensorsType Type, long[] Shape, long Bytes, Action<Stream> Write);
}
