using System.Text.Json;
using System.Text.Json.Serialization;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Training.Logging;

/// <summary>A run's resolved configuration as indented JSON: property names in camel case, enums by name.</summary>
public static class ConfigFile
{
    private static readonly JsonSerializerOptions _options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
    };

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write<T>(string path, T config) => AtomicFile.Write(path, stream =>
    {
        JsonSerializer.Serialize(stream, config, _options);
        stream.WriteByte((byte)'\n');
    });

    /// <summary>Reads a file that <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is not JSON, or a member is unknown, missing or of another type.</exception>
    public static T Read<T>(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(InputFile.ReadAllBytes(path), _options)
                ?? throw new InvalidDataException($"{path}: the configuration is null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(
                $"{path}: {Problem(e)}; put it right, or begin anew if another version of the program wrote it", e);
        }
    }

    /// <summary>What the reader means, without its names of types.</summary>
    private static string Problem(JsonException failure) => failure switch
    {
        { Path: ['$', '.', .. var member] } => $"line {failure.LineNumber + 1}: "
            // Only of a member that it does not know does the reader say "property".
            + (failure.Message.Contains($"property '{member}'", StringComparison.Ordinal) ? $"there is no setting '{member}'" : $"{member} cannot have this value"),
        _ when failure.Message.Split("including: ") is [_, var names] => $"settings are missing: {names.TrimEnd('.')}",
        _ => $"line {failure.LineNumber + 1} is not JSON",
    };
}
