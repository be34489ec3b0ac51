namespace DtoKd.Models.Checkpoints;

/// <summary>One tensor of a safetensors file: what the header says about it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its dimensions, row-major; empty for a scalar, and any of them may be 0.</param>
/// <param name="ElementCount">The product of the dimensions.</param>
/// <param name="Offset">Where its bytes start in the file.</param>
/// <param name="ByteCount">How many bytes it takes.</param>
public sealed record SafetensorsEntry(
    string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long ElementCount, long Offset, long ByteCount)
    : CheckpointEntry(Name, Type, Shape, ElementCount, ByteCount);
