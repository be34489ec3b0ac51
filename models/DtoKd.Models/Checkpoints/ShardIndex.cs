using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// The <c>*.safetensors.index.json</c> of a checkpoint in several files: <c>weight_map</c> names the file of each tensor,
/// <c>metadata</c> has anything.
/// </summary>
internal sealed class ShardIndex
{
    /// <summary>The name that others look for.</summary>
    internal const string FileName = "model.safetensors.index.json";

    private const string WeightMap = "weight_map";
    private const int MaxShardName = 255;

    private readonly string _file;
    private readonly Dictionary<string, string> _shards = [];
    private readonly Dictionary<string, string> _metadata = [];

    private ShardIndex(string file) => _file = file;

    /// <summary>The file, in the index's folder, of each tensor.</summary>
    internal IReadOnlyDictionary<string, string> Shards => _shards;

    /// <summary>Texts and numbers of <c>metadata</c>.</summary>
    internal IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Reads an index; the shards are not looked at.</summary>
    /// <exception cref="InvalidDataException">It is no index, or names a file outside its folder.</exception>
    internal static ShardIndex Parse(ReadOnlySpan<byte> json, string file)
    {
        var index = new ShardIndex(file);
        if (!Utf8.IsValid(json))
            throw index.Error(0, "the index is not valid UTF-8");
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 16 });
        try
        {
            index.ReadTop(ref reader);
        }
        catch (JsonException e)
        {
            string reason = e.Message.Split(". LineNumber", 2)[0];
            throw index.Error(reader.BytesConsumed, $"the index is not valid JSON: {Quoting.OneLine(reason)}");
        }
        catch (InvalidOperationException)
        {
            // What the reader makes of an escaped half of a surrogate pair.
            throw index.Error(reader.TokenStartIndex, "a string of the index is not valid Unicode");
        }
        return index;
    }

    /// <summary>The text of an index.</summary>
    internal static byte[] Format(long totalBytes, IEnumerable<(string Tensor, string Shard)> shards)
    {
        var stream = new MemoryStream();
        var options = new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var json = new Utf8JsonWriter(stream, options))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteNumber("total_size", totalBytes);
            json.WriteEndObject();
            json.WriteStartObject(WeightMap);
            foreach (var (tensor, shard) in shards)
                json.WriteString(tensor, shard);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private InvalidDataException Error(long offset, string message) => new($"{_file}: offset {offset}: {message}");

    private void ReadTop(ref Utf8JsonReader reader)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw Error(0, "the index is not a JSON object");
        bool sawMap = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = reader.TokenStartIndex;
            if (reader.ValueTextEquals(WeightMap))
            {
                if (sawMap)
                    throw Error(at, $"{WeightMap} appears twice");
                sawMap = true;
                ReadMap(ref reader);
            }
            else if (reader.ValueTextEquals("metadata"))
            {
                ReadMetadata(ref reader);
            }
            else
            {
                reader.Skip();
            }
        }
        reader.Read();
        if (!sawMap)
            throw Error(0, $"the JSON has no {WeightMap}; is this the index of a safetensors checkpoint?");
    }

    private void ReadMap(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Error(reader.TokenStartIndex, $"{WeightMap} is not an object");
        // Thousands of tensors share a few file names.
        var names = new Dictionary<string, string>();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = reader.TokenStartIndex;
            string tensor = reader.GetString()!;
            reader.Read();
            string shard = reader.TokenType == JsonTokenType.String
                ? reader.GetString()!
                : throw Error(at, $"the file of tensor {Quoting.Quote(tensor)} is not a string");
            if (!names.TryGetValue(shard, out string? known))
            {
                if (!IsPlainName(shard))
                {
                    throw Error(at, $"tensor {Quoting.Quote(tensor)} is said to be in {Quoting.Quote(shard)}, "
                        + "which is no file beside the index");
                }
                names.Add(shard, known = shard);
            }
            if (!_shards.TryAdd(tensor, known))
                throw Error(at, $"tensor {Quoting.Quote(tensor)} appears twice");
        }
    }

    /// <summary>Whether a name can only mean a file in the index's own folder, on any system.</summary>
    private static bool IsPlainName(string name) =>
        name.Length is > 0 and <= MaxShardName && name is not ("." or "..")
        && !name.Any(c => c is '/' or '\\' or ':' || char.IsControl(c));

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType is JsonTokenType.String)
                _metadata[key] = reader.GetString()!;
            else if (reader.TokenType is JsonTokenType.Number)
                _metadata[key] = Encoding.UTF8.GetString(reader.ValueSpan);
            else
                reader.Skip();
        }
    }
}
