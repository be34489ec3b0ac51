using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// The header of a safetensors file: a little-endian u64 length, that many bytes of JSON, then the data. Trusts nothing: every
/// length is checked against the file before it is used, and what is allocated is in proportion to the header that is there.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the length in front of the header.</summary>
    internal const int LengthBytes = 8;

    /// <summary>The format's own limit.</summary>
    internal const int MaxJsonBytes = 100_000_000;

    internal const string MetadataKey = "__metadata__";

    private readonly string _file;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly List<long> _numbers = [];
    private readonly Dictionary<string, string> _metadata = [];
    private readonly Dictionary<string, SafetensorsEntry> _byName = [];
    private readonly List<SafetensorsEntry> _entries = [];

    private SafetensorsHeader(string file, long dataStart, long dataLength)
    {
        _file = file;
        _dataStart = dataStart;
        _dataLength = dataLength;
    }

    /// <summary>The tensors by where their bytes are.</summary>
    internal IReadOnlyList<SafetensorsEntry> Entries => _entries;

    internal IReadOnlyDictionary<string, SafetensorsEntry> ByName => _byName;

    internal IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>How many bytes of JSON the file announces.</summary>
    /// <exception cref="InvalidDataException">They are not there, or more than the format allows.</exception>
    internal static int JsonLength(ReadOnlySpan<byte> firstBytes, long fileLength, string file)
    {
        if (fileLength < LengthBytes || firstBytes.Length < LengthBytes)
            throw Error(file, 0, $"the file has {fileLength} bytes, too few for the {LengthBytes}-byte header length");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(firstBytes);
        if (length > MaxJsonBytes)
            throw Error(file, 0, $"header length {length} is above the format's limit of {MaxJsonBytes} bytes");
        if ((long)length > fileLength - LengthBytes)
            throw Error(file, 0, $"header length {length} does not fit into the file of {fileLength} bytes");
        return (int)length;
    }

    /// <summary>Reads the header and checks it against the size of the file.</summary>
    /// <param name="json">The JSON bytes, <see cref="JsonLength"/> of them.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <param name="file">Its name, for messages.</param>
    /// <exception cref="InvalidDataException">Anything is not as the format asks.</exception>
    internal static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long fileLength, string file)
    {
        if (json.IsEmpty || json[0] != (byte)'{')
            throw Error(file, LengthBytes, "the header does not start with '{'; is this a safetensors file?");
        if (!Utf8.IsValid(json))
            throw Error(file, LengthBytes, "the header is not valid UTF-8");

        var header = new SafetensorsHeader(file, LengthBytes + json.Length, fileLength - LengthBytes - json.Length);
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 4 });
        try
        {
            header.ReadTop(ref reader);
        }
        catch (JsonException e)
        {
            // The exception's own text ends with a line number; the offset in the file says the same better.
            string reason = e.Message.Split(". LineNumber", 2)[0];
            throw Error(file, LengthBytes + reader.BytesConsumed, $"the header is not valid JSON: {Quoting.OneLine(reason)}");
        }
        catch (InvalidOperationException)
        {
            // What the reader makes of an escaped half of a surrogate pair: legal JSON, but not text.
            throw Error(file, LengthBytes + reader.TokenStartIndex, "a string of the header is not valid Unicode");
        }
        header.CheckLayout();
        return header;
    }

    internal static InvalidDataException Error(string file, long offset, string message) =>
        new($"{file}: offset {offset}: {message}");

    private void ReadTop(ref Utf8JsonReader reader)
    {
        reader.Read();
        bool sawMetadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = LengthBytes + reader.TokenStartIndex;
            string name = reader.GetString()!;
            if (name == MetadataKey)
            {
                if (sawMetadata)
                    throw Error(_file, at, $"{MetadataKey} appears twice");
                sawMetadata = true;
                ReadMetadata(ref reader);
            }
            else
            {
                var entry = ReadEntry(ref reader, name, at);
                if (!_byName.TryAdd(name, entry))
                    throw Error(_file, at, $"tensor {Quoting.Quote(name)} appears twice");
                _entries.Add(entry);
            }
        }
        // Only blanks may follow the closing brace; anything else makes the reader throw.
        reader.Read();
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Error(_file, LengthBytes + reader.TokenStartIndex, $"{MetadataKey} is not an object of strings");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = LengthBytes + reader.TokenStartIndex;
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Error(_file, at, $"{MetadataKey} value of {Quoting.Quote(key)} is not a string");
            if (!_metadata.TryAdd(key, reader.GetString()!))
                throw Error(_file, at, $"{MetadataKey} key {Quoting.Quote(key)} appears twice");
        }
    }

    private SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string name, long at)
    {
        SafetensorsType? type = null;
        long[]? shape = null, range = null;
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} is not described by an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long keyAt = LengthBytes + reader.TokenStartIndex;
            bool repeated;
            if (reader.ValueTextEquals("dtype"u8))
            {
                repeated = type is not null;
                type = ReadType(ref reader, name);
            }
            else if (reader.ValueTextEquals("shape"u8))
            {
                repeated = shape is not null;
                shape = ReadNumbers(ref reader, name, "shape");
            }
            else if (reader.ValueTextEquals("data_offsets"u8))
            {
                repeated = range is not null;
                range = ReadNumbers(ref reader, name, "data_offsets");
            }
            else
            {
                throw Error(_file, keyAt, $"tensor {Quoting.Quote(name)} has the unknown key {Quoting.Quote(reader.GetString()!)}");
            }
            if (repeated)
                throw Error(_file, keyAt, $"tensor {Quoting.Quote(name)} has a key twice");
        }
        string? missing = type is null ? "dtype" : shape is null ? "shape" : range is null ? "data_offsets" : null;
        if (missing is not null)
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} has no {missing}");
        return MakeEntry(name, type!.Value, shape!, range!, at);
    }

    private SafetensorsEntry MakeEntry(string name, SafetensorsType type, long[] shape, long[] range, long at)
    {
        if (range.Length != 2 || range[0] > range[1])
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} has data_offsets that are not [begin, end] with begin <= end");
        if (range[1] > _dataLength)
        {
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} ends at byte {range[1]} of the data, "
                + $"but the file has only {_dataLength}; it is cut short");
        }
        long count = 1, bytes;
        try
        {
            foreach (long dimension in shape)
                count = checked(count * dimension);
            bytes = checked(count * type.ByteWidth());
        }
        catch (OverflowException)
        {
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} has a shape whose size overflows 64 bits");
        }
        if (bytes != range[1] - range[0])
        {
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} of {count} {type.FileName()} elements needs {bytes} bytes, "
                + $"but data_offsets [{range[0]}, {range[1]}] give it {range[1] - range[0]}");
        }
        return new SafetensorsEntry(name, type, shape, count, _dataStart + range[0], bytes);
    }

    private SafetensorsType ReadType(ref Utf8JsonReader reader, string name)
    {
        reader.Read();
        long at = LengthBytes + reader.TokenStartIndex;
        if (reader.TokenType != JsonTokenType.String)
            throw Error(_file, at, $"tensor {Quoting.Quote(name)} has a dtype that is not a string");
        return SafetensorsTypes.TryParse(ref reader, out var type)
            ? type
            : throw Error(_file, at,
                $"tensor {Quoting.Quote(name)} has dtype {Quoting.Quote(reader.GetString()!)}; known are {SafetensorsTypes.KnownNames}");
    }

    private long[] ReadNumbers(ref Utf8JsonReader reader, string name, string key)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Error(_file, LengthBytes + reader.TokenStartIndex, $"tensor {Quoting.Quote(name)} has a {key} that is not an array");
        _numbers.Clear();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
            {
                throw Error(_file, LengthBytes + reader.TokenStartIndex,
                    $"tensor {Quoting.Quote(name)} has a {key} entry that is not an integer in 0..2^63-1");
            }
            _numbers.Add(number);
        }
        return _numbers.ToArray();
    }

    /// <summary>The tensors must fill the data part exactly: no overlap, no hole, nothing behind the last.</summary>
    private void CheckLayout()
    {
        // By length as well, because an empty tensor shares its offset with the next one.
        _entries.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset)
            : a.ByteCount != b.ByteCount ? a.ByteCount.CompareTo(b.ByteCount)
            : string.CompareOrdinal(a.Name, b.Name));
        long expected = _dataStart;
        foreach (var entry in _entries)
        {
            if (entry.Offset < expected)
            {
                throw Error(_file, entry.Offset,
                    $"tensor {Quoting.Quote(entry.Name)} overlaps the one before it by {expected - entry.Offset} bytes");
            }
            if (entry.Offset > expected)
            {
                throw Error(_file, expected,
                    $"{entry.Offset - expected} bytes before tensor {Quoting.Quote(entry.Name)} belong to no tensor");
            }
            expected += entry.ByteCount;
        }
        long behind = _dataStart + _dataLength - expected;
        if (behind != 0)
            throw Error(_file, expected, $"{behind} bytes behind the last tensor belong to no tensor");
    }
}
