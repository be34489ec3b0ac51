using System.Text.Json;

namespace DtoKd.Models.Checkpoints;

/// <summary>The element types of a safetensors file that are read and written here; all are little-endian.</summary>
public enum SafetensorsType
{
    /// <summary>IEEE double, 8 bytes.</summary>
    F64,

    /// <summary>IEEE single, 4 bytes.</summary>
    F32,

    /// <summary>IEEE half, 2 bytes.</summary>
    F16,

    /// <summary>The upper half of an IEEE single, 2 bytes.</summary>
    BF16,

    /// <summary>Signed integer, 8 bytes.</summary>
    I64,

    /// <summary>Signed integer, 4 bytes.</summary>
    I32,

    /// <summary>Signed integer, 2 bytes.</summary>
    I16,

    /// <summary>Signed integer, 1 byte.</summary>
    I8,

    /// <summary>Unsigned integer, 1 byte.</summary>
    U8,

    /// <summary>One byte, 0 or 1; other values are read as true.</summary>
    Bool,
}

/// <summary>Names and widths of <see cref="SafetensorsType"/>.</summary>
public static class SafetensorsTypes
{
    private static readonly (SafetensorsType Type, string Name, int Bytes)[] Table =
    [
        (SafetensorsType.F64, "F64", 8), (SafetensorsType.F32, "F32", 4), (SafetensorsType.F16, "F16", 2),
        (SafetensorsType.BF16, "BF16", 2), (SafetensorsType.I64, "I64", 8), (SafetensorsType.I32, "I32", 4),
        (SafetensorsType.I16, "I16", 2), (SafetensorsType.I8, "I8", 1), (SafetensorsType.U8, "U8", 1),
        (SafetensorsType.Bool, "BOOL", 1),
    ];

    /// <summary>All names, for messages.</summary>
    internal static string KnownNames { get; } = string.Join(", ", Table.Select(row => row.Name));

    /// <summary>Bytes of one element.</summary>
    /// <param name="type">An element type.</param>
    /// <returns>1, 2, 4 or 8.</returns>
    public static int ByteWidth(this SafetensorsType type) => Table[(int)type].Bytes;

    /// <summary>The type's name in a file's header.</summary>
    /// <param name="type">An element type.</param>
    /// <returns>For example <c>BF16</c>.</returns>
    public static string FileName(this SafetensorsType type) => Table[(int)type].Name;

    internal static bool TryParse(ref Utf8JsonReader reader, out SafetensorsType type)
    {
        foreach (var row in Table)
        {
            if (!reader.ValueTextEquals(row.Name))
                continue;
            type = row.Type;
            return true;
        }
        type = default;
        return false;
    }
}
