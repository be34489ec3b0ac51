namespace DtoKd.Training.Balancing;

// the gradients are replaced by the nearest ones that are orthogonal and of one length, then summed   (Senushkin et al.,
//                                                    "Independent component alignment for multi-task learning", 2023, eq. 6)
//   G = V Λ Vᵀ            eigenvalues at or below λ_max · K · ε are rounding and left out
//   B = √λ_min V Λ^(−½) Vᵀ      the aligned gradients are Σ_j B_kj g_j, of length √λ_min
//   coefficient_j = Σ_k B_kj

/// <summary>Aligned-MTL: the sum of the gradients after their matrix was made as well conditioned as can be.</summary>
public sealed class AlignedMtl : GramBalancer
{
    private const double Epsilon = 2.220446049250313e-16;

    private readonly double[] _values, _vectors;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    public AlignedMtl(int objectives)
        : base("aligned-mtl", objectives)
    {
        _values = new double[objectives * objectives];
        _vectors = new double[objectives * objectives];
    }

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        gram.CopyTo(_values);
        SmallSystem.Eigen(_values.AsSpan(0, n * n), _vectors.AsSpan(0, n * n), n);
        double largest = 0, smallest = double.PositiveInfinity;
        for (int e = 0; e < n; e++)
            largest = Math.Max(largest, _values[e * n + e]);
        double least = largest * n * Epsilon;
        for (int e = 0; e < n; e++)
        {
            if (_values[e * n + e] > least)
                smallest = Math.Min(smallest, _values[e * n + e]);
        }

        coefficients.Clear();
        for (int e = 0; e < n; e++)
        {
            double value = _values[e * n + e], sum = 0;
            if (value <= least)
                continue;
            for (int k = 0; k < n; k++)
                sum += _vectors[k * n + e];
            for (int k = 0; k < n; k++)
                coefficients[k] += Math.Sqrt(smallest / value) * sum * _vectors[k * n + e];
        }

        coefficients.CopyTo(pi);
    }
}
