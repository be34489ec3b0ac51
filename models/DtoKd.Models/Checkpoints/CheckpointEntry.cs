namespace DtoKd.Models.Checkpoints;

/// <summary>One tensor of a checkpoint file, whatever the file's format.</summary>
/// <param name="Name">Its name; in PyTorch's formats the path of keys to it, joined with dots.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its dimensions, row-major; empty for a scalar, and any of them may be 0.</param>
/// <param name="ElementCount">The product of the dimensions.</param>
/// <param name="ByteCount">How many bytes its elements take, stored one after the other.</param>
public record CheckpointEntry(
    string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long ElementCount, long ByteCount)
{
    /// <summary>The shape as text, for messages: <c>[3, 224, 224]</c>.</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";
}
