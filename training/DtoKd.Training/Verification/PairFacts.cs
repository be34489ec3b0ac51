namespace DtoKd.Training.Verification;

// Letters, as in the paper and in MinNorm:  g_i = ∇log L_i (1 = distillation, 2 = task),  a = ‖g1‖²,  b = ‖g2‖²,  c = ⟨g1, g2⟩,
// D = ‖g1 − g2‖²,  m = min ‖g_i‖,  M = max ‖g_i‖,  φ = ∠(g1, g2),  g* = π1 g1 + π2 g2.

/// <summary>
/// What was measured of one pair of gradients and of the weights the product gave it. All of it comes from the vectors, in
/// double and by plain loops, never from the product's Gram matrix.
/// </summary>
public readonly record struct PairFacts
{
    /// <summary>‖g1‖².</summary>
    public required double A { get; init; }

    /// <summary>‖g2‖².</summary>
    public required double B { get; init; }

    /// <summary>⟨g1, g2⟩.</summary>
    public required double C { get; init; }

    /// <summary>‖g1 − g2‖².</summary>
    public required double D { get; init; }

    /// <summary>‖g1/‖g1‖ + g2/‖g2‖‖ / 2 = cos(φ/2), without the cancellation of 1 + cos φ; 0 with a zero gradient.</summary>
    public required double HalfAngleCosine { get; init; }

    /// <summary>π1 of the product.</summary>
    public required double Pi1 { get; init; }

    /// <summary>π2 of the product.</summary>
    public required double Pi2 { get; init; }

    /// <summary>‖g*‖ of the mixture that the product's weights give.</summary>
    public required double Norm { get; init; }

    /// <summary>⟨g*, g1⟩.</summary>
    public required double Dot1 { get; init; }

    /// <summary>⟨g*, g2⟩.</summary>
    public required double Dot2 { get; init; }

    /// <summary>m, the smaller norm.</summary>
    public double Shorter => Math.Sqrt(Math.Min(A, B));

    /// <summary>M, the larger norm.</summary>
    public double Longer => Math.Sqrt(Math.Max(A, B));

    /// <summary>Whether both gradients differ from zero.</summary>
    public bool BothNonZero => A > 0 && B > 0;

    /// <summary>Whether c ≤ min(a, b): no weight is clamped.</summary>
    public bool Unclamped => C <= Math.Min(A, B);

    /// <summary>
    /// The least c for which ‖g*‖ ≥ m/√2: (p − √(p(2P − p)))/2 with p = m², P = M².
    /// </summary>
    public double HalfNormBorder
    {
        get
        {
            double p = Math.Min(A, B), longer = Math.Max(A, B);
            return 0.5 * (p - Math.Sqrt(p * (2 * longer - p)));
        }
    }
}
