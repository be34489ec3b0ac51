namespace DtoKd.Engine;

/// <summary>A stretch of a flat buffer: one parameter, or neighbours that are treated alike, with the gaps between them.</summary>
/// <param name="Start">The first element.</param>
/// <param name="Length">The number of elements.</param>
public readonly record struct FlatRange(long Start, long Length);
