namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>One tensor of a PyTorch file, and where its elements are.</summary>
/// <param name="Name">The path of keys to it, joined with dots.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="ElementCount">The product of the dimensions.</param>
/// <param name="ByteCount">How many bytes its elements take, one after the other.</param>
/// <param name="Offset">Where its first element is in the file.</param>
/// <param name="Strides">Elements from one index to the next per axis; null when one follows the other.</param>
internal sealed record TorchEntry(
    string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long ElementCount, long ByteCount, long Offset, long[]? Strides)
    : CheckpointEntry(Name, Type, Shape, ElementCount, ByteCount);
