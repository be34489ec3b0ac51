using System.Runtime.Intrinsics;

namespace DtoKd.Engine.Cpu;

/// <summary>How much of a tile of two vectors a row lies inside C. What is a constant to the compiler costs nothing.</summary>
internal unsafe interface IAvx512Edge
{
    /// <summary>Rows that are computed.</summary>
    static abstract int Height { get; }

    /// <summary>Whether both vectors of a row are.</summary>
    static abstract bool IsWide { get; }

    /// <summary>Rows that are stored.</summary>
    int Rows { get; }

    /// <summary>Reads a vector of C or of the bias.</summary>
    /// <param name="source">Its first element.</param>
    /// <param name="column">Its column in the tile.</param>
    Vector512<float> Load(float* source, int column);

    /// <summary>Writes a vector of C.</summary>
    void Store(Vector512<float> value, float* target, int column);
}

/// <summary>All of it.</summary>
internal readonly unsafe struct WholeTile<THeight> : IAvx512Edge
    where THeight : struct, ICount
{
    public static int Height => THeight.Count;

    public static bool IsWide => true;

    public int Rows => THeight.Count;

    public Vector512<float> Load(float* source, int column) => Vector512.Load(source);

    public void Store(Vector512<float> value, float* target, int column) => value.Store(target);
}

/// <summary>The first rows and columns.</summary>
internal readonly unsafe struct TilePart<THeight, TVectors>(int rows, int columns) : IAvx512Edge
    where THeight : struct, ICount
    where TVectors : struct, ICount
{
    private const int Width = 16;

    public static int Height => THeight.Count;

    public static bool IsWide => TVectors.Count > 1;

    public int Rows => rows;

    public Vector512<float> Load(float* source, int column) =>
        columns - column >= Width ? Vector512.Load(source) : Lane512.LoadPart(source, columns - column, 0).Value;

    public void Store(Vector512<float> value, float* target, int column)
    {
        if (columns - column >= Width)
            value.Store(target);
        else
            Lane512.StorePart(new(value), target, columns - column);
    }
}
