namespace DtoKd.Engine.Cpu;

/// <summary>
/// What happens to a product on its way to memory: <c>C = AB (+ C) (+ Bias of the column)</c>, and then what
/// <see cref="Finish"/> makes of it. The default value is the plain product.
/// </summary>
internal readonly unsafe struct GemmEpilogue
{
    /// <summary>Add to what C holds instead of overwriting it.</summary>
    public bool Accumulate { get; init; }

    /// <summary>One value per column, or null.</summary>
    public float* Bias { get; init; }

    /// <summary>
    /// Called for each tile of C once its sums are complete and while it is near the core, by the thread that made them; or null. So
    /// what follows a product element by element does not read the whole of it from memory again.
    /// </summary>
    public delegate*<in FinishedTile, void> Finish { get; init; }

    /// <summary>A second matrix, laid out as C, that <see cref="Finish"/> reads or writes; or null.</summary>
    public float* Companion { get; init; }

    /// <summary>The epilogue of a product whose C begins so many elements further on.</summary>
    public GemmEpilogue Offset(long elements) => Companion == null ? this : this with { Companion = Companion + elements };
}

/// <summary>A tile of C with all its sums.</summary>
/// <param name="c">Its first element.</param>
/// <param name="companion">That of <see cref="GemmEpilogue.Companion"/>, or null.</param>
/// <param name="stride">Elements from one row to the next, of both.</param>
/// <param name="rows">Rows inside C.</param>
/// <param name="columns">Columns inside C.</param>
internal readonly unsafe struct FinishedTile(float* c, float* companion, long stride, int rows, int columns)
{
    public float* C { get; } = c;

    public float* Companion { get; } = companion;

    public long Stride { get; } = stride;

    public int Rows { get; } = rows;

    public int Columns { get; } = columns;
}
