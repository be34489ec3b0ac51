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
}
