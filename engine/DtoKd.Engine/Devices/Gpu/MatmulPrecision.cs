namespace DtoKd.Engine.Gpu;

/// <summary>
/// How products of single-precision matrices, and convolutions, are computed on a GPU, as in PyTorch. Sums are in single precision
/// always.
/// </summary>
public enum MatmulPrecision
{
    /// <summary>Single precision throughout.</summary>
    Highest,

    /// <summary>Factors are rounded to TF32, of 10 bits after the point, for the tensor cores.</summary>
    High,

    /// <summary>Factors are rounded to bf16, of 7 bits after the point.</summary>
    Medium,
}
