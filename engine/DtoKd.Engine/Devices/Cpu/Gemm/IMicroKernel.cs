namespace DtoKd.Engine.Cpu;

/// <summary>
/// The innermost product: one tile of C, <see cref="Rows"/> x <see cref="Columns"/>, held in registers over one block of K.
/// </summary>
/// <remarks>
/// Every element is one chain of multiply-adds in the order of K, whatever the tile's shape or place; so neither the
/// blocking nor the kernel's size shows in the result. In a <see cref="PairedKernel{TReads}"/> two steps of three share a link.
/// </remarks>
internal unsafe interface IMicroKernel
{
    /// <summary>Rows of a tile, and of a packed panel of A.</summary>
    static abstract int Rows { get; }

    /// <summary>Columns of a tile, and of a packed panel of B: a multiple of 8.</summary>
    static abstract int Columns { get; }

    /// <summary>About how many rows of A, or columns of B, a thread packs together.</summary>
    static abstract int BlockLines { get; }

    /// <summary>Of an incomplete panel of A so many rows, or a multiple, are read; the last ones may lie outside.</summary>
    static abstract int RowStep { get; }

    /// <summary>The same of an incomplete panel of B.</summary>
    static abstract int ColumnStep { get; }

    /// <summary>Whether <see cref="TilePanels.ARowStride"/> may be other than 1 where A is read in place.</summary>
    static abstract bool ReadsScatteredRows { get; }

    /// <summary>Whether operands may be read where they lie; or else all of them are packed.</summary>
    static virtual bool ReadsInPlace => true;

    /// <summary>Elements from one packed panel to the next.</summary>
    /// <param name="width"><see cref="Rows"/> or <see cref="Columns"/>.</param>
    /// <param name="depth">Steps along K.</param>
    static virtual int PanelLength(int width, int depth) => width * depth;

    /// <summary><see cref="TilePanels.ARowStride"/> of a packed panel.</summary>
    /// <param name="stepStride">Elements between two steps of A before it is packed.</param>
    static virtual long PackedRowStride(long stepStride) => 1;

    /// <summary>Packs lines of an operand into panels.</summary>
    /// <inheritdoc cref="Packing.Pack"/>
    static virtual void Pack(float* source, long lineStride, long stepStride, int lines, int depth, int width, float* target) =>
        Packing.Pack(source, lineStride, stepStride, lines, depth, width, target);

    /// <summary>Computes one full tile.</summary>
    /// <param name="depth">Steps along K.</param>
    /// <param name="panels">What is multiplied.</param>
    /// <param name="c">The tile's first element.</param>
    /// <param name="cStride">Elements between two rows of C.</param>
    /// <param name="epilogue">What to do with the sums.</param>
    static abstract void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue);

    /// <summary>Computes a tile of which only the first rows and columns lie inside C.</summary>
    static abstract void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns);
}

/// <summary>The panels that one tile is the product of.</summary>
/// <param name="a">[depth, Rows] of A.</param>
/// <param name="aStride">Elements between two steps of A; Rows when packed.</param>
/// <param name="b">[depth, Columns] of B.</param>
/// <param name="bStride">Elements between two steps of B; Columns when packed.</param>
internal readonly unsafe struct TilePanels(float* a, long aStride, float* b, long bStride)
{
    public float* A { get; } = a;

    public long AStride { get; } = aStride;

    /// <summary>Elements between two rows of A; 1 when packed.</summary>
    public long ARowStride { get; init; } = 1;

    public float* B { get; } = b;

    public long BStride { get; } = bStride;

    /// <summary>What is asked for meanwhile, or null.</summary>
    public PrefetchedBlock* Fetch { get; init; }
}

/// <summary>The part of a <see cref="GemmEpilogue"/> that concerns one tile in one block of K.</summary>
internal unsafe struct TileEpilogue
{
    /// <summary>Add what C holds.</summary>
    public bool AddC;

    /// <summary>The tile's column biases, or null.</summary>
    public float* Bias;

    /// <summary>From C to what is needed right after the tile and asked for with it, in elements; 0 for nothing.</summary>
    public long Companion;
}
