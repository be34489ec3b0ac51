namespace DtoKd.Engine.Cpu;

/// <summary>
/// The innermost product: one tile of C, <see cref="Rows"/> x <see cref="Columns"/>, held in registers over one block of K.
/// </summary>
/// <remarks>
/// Every element is one chain of multiply-adds in the order of K, whatever the tile's shape or place; so neither the
/// blocking nor the kernel's size shows in the result.
/// </remarks>
internal unsafe interface IMicroKernel
{
    /// <summary>Rows of a tile, and of a packed panel of A.</summary>
    static abstract int Rows { get; }

    /// <summary>Columns of a tile, and of a packed panel of B: a multiple of 8.</summary>
    static abstract int Columns { get; }

    /// <summary>Rows of A that are packed together: a multiple of <see cref="Rows"/>.</summary>
    static abstract int RowBlock { get; }

    /// <summary>Computes one full tile.</summary>
    /// <param name="depth">Steps along K.</param>
    /// <param name="a">Packed panel of A: [depth, Rows].</param>
    /// <param name="b">Panel of B: [depth, Columns], one step every <paramref name="bStride"/> elements.</param>
    /// <param name="bStride">Elements between two steps of B; Columns when packed.</param>
    /// <param name="c">The tile's first element.</param>
    /// <param name="cStride">Elements between two rows of C.</param>
    /// <param name="epilogue">What to do with the sums.</param>
    static abstract void Tile(int depth, float* a, float* b, long bStride, float* c, long cStride, in TileEpilogue epilogue);
}

/// <summary>The part of a <see cref="GemmEpilogue"/> that concerns one tile in one block of K.</summary>
internal unsafe struct TileEpilogue
{
    /// <summary>The factor of the sums.</summary>
    public float Alpha;

    /// <summary>Add what C holds.</summary>
    public bool AddC;

    /// <summary>The tile's column biases, or null.</summary>
    public float* Bias;

    /// <summary>The tile's row biases, or null.</summary>
    public float* RowBias;
}
