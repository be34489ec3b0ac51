namespace DtoKd.Engine.Cpu;

/// <summary>
/// What happens to a product on its way to memory: <c>C = Alpha * AB (+ C) (+ Bias of the column) (+ RowBias of the row)</c>.
/// The default value is the plain product.
/// </summary>
internal readonly unsafe struct GemmEpilogue
{
    private readonly float _alpha;
    private readonly bool _hasAlpha;

    /// <summary>The factor of the product; 1 unless set.</summary>
    public float Alpha
    {
        get => _hasAlpha ? _alpha : 1f;
        init => (_alpha, _hasAlpha) = (value, true);
    }

    /// <summary>Add to what C holds instead of overwriting it.</summary>
    public bool Accumulate { get; init; }

    /// <summary>One value per column, or null.</summary>
    public float* Bias { get; init; }

    /// <summary>One value per row, or null.</summary>
    public float* RowBias { get; init; }

    /// <summary>
    /// Where the sums of A's rows are added, one per row of C, or null: the product of a weight's gradient reads what a bias's
    /// gradient is the sum of. Only for an A whose columns are contiguous, and a B that has columns.
    /// </summary>
    public double* RowSumsOfA { get; init; }
}
