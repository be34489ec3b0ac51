namespace DtoKd.Engine.Cpu;

/// <summary>
/// What happens to a product on its way to memory: <c>C = AB (+ C) (+ Bias of the column)</c>.
/// The default value is the plain product.
/// </summary>
internal readonly unsafe struct GemmEpilogue
{
    /// <summary>Add to what C holds instead of overwriting it.</summary>
    public bool Accumulate { get; init; }

    /// <summary>One value per column, or null.</summary>
    public float* Bias { get; init; }
}
