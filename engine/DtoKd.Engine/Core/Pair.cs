namespace DtoKd.Engine;

/// <summary>One number for the height and one for the width of an image: a kernel size, stride, padding or output size.</summary>
/// <param name="Height">Along the third axis of [N, C, H, W].</param>
/// <param name="Width">Along the last axis.</param>
public readonly record struct Pair(int Height, int Width)
{
    /// <summary>The same number for both.</summary>
    public static implicit operator Pair(int both) => new(both, both);

    /// <summary>From <c>(height, width)</c>.</summary>
    public static implicit operator Pair((int Height, int Width) pair) => new(pair.Height, pair.Width);

    /// <summary>As in messages: <c>(3, 2)</c>.</summary>
    public override string ToString() => $"({Height}, {Width})";
}
