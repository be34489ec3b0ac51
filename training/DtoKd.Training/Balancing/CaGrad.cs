namespace DtoKd.Training.Balancing;

// max_d min_k ⟨g_k, d⟩  with  ‖d − g_0‖ ≤ c‖g_0‖                                 (Liu et al., "Conflict-averse gradient descent
//                                                                                for multi-task learning", 2021, eq. 3 and 4)
//   g_0 = mean of the g_k          the direction of the plain average, around which d is sought
//   w   = argmin over the simplex of  ⟨g_w, g_0⟩ + φ‖g_w‖,   g_w = Σ w_k g_k,   φ = c‖g_0‖          (the dual)
//   d   = g_0 + φ g_w/‖g_w‖,       divided by 1 + c² as the authors' code does ("rescale 1")
//
// With ‖g_w‖ = min over λ > 0 of ½(‖g_w‖²/λ + λ) the dual for a fixed λ is the shortest point of the hull of g_k + (λ/φ) g_0,
// which MinNorm finds exactly; in λ it is convex with the slope ½φ(1 − ‖g_w‖²/λ²), whose zero is bisected.

/// <summary>CAGrad: the best worst-case improvement within a ball around the mean gradient.</summary>
public sealed class CaGrad : GramBalancer
{
    /// <summary>The radius that the comparisons of Nash-MTL and FAMO use.</summary>
    public const double DefaultRadius = 0.4;

    // A norm below this share of the longest gradient is what rounding leaves of zero in a Gram matrix of doubles.
    private const double Vanished = 1e-8;

    private readonly double _radius;
    private readonly double[] _shifted, _toMean;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="radius">c, in [0, 1): how far d may leave the mean, as a share of the mean's norm.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public CaGrad(int objectives, double radius = DefaultRadius)
        : base("cagrad", objectives)
    {
        if (!(radius >= 0 && radius < 1))
            throw new ArgumentOutOfRangeException(nameof(radius), radius, "the radius of CAGrad lies in [0, 1)");
        _radius = radius;
        _shifted = new double[objectives * objectives];
        _toMean = new double[objectives];
    }

    /// <inheritdoc/>
    public override string ToString() => Text($"{Name} (c {_radius})");

    /// <inheritdoc/>
    protected override void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients)
    {
        int n = pi.Length;
        var toMean = _toMean.AsSpan(0, n);
        double square = 0, longest = 0;
        for (int i = 0; i < n; i++)
        {
            double sum = 0;
            for (int j = 0; j < n; j++)
                sum += gram[i * n + j];
            toMean[i] = sum / n;
            square += toMean[i] / n;
            longest = Math.Max(longest, Math.Sqrt(gram[i * n + i]));
        }

        double phi = _radius * Math.Sqrt(Math.Max(0, square));
        if (phi <= Vanished * _radius * longest)
        {
            // The mean is zero and so is d, whatever the weights; with a radius of 0 it is the mean.
            pi.Fill(1.0 / n);
            coefficients.Fill(1.0 / n / (1 + _radius * _radius));
            return;
        }

        double low = 0, high = longest, norm = 0;
        while (high > Vanished * longest)
        {
            double lambda = 0.5 * (low + high);
            norm = Shortest(gram, toMean, square, lambda, phi, pi);
            if (lambda <= low || lambda >= high)
                break;
            (low, high) = norm > lambda ? (lambda, high) : (low, lambda);
        }

        for (int k = 0; k < n; k++)
        {
            double turn = norm > Vanished * longest ? phi / norm * pi[k] : 0;
            coefficients[k] = (1.0 / n + turn) / (1 + _radius * _radius);
        }
    }

    /// <summary>The weights w that are best for a given λ; returns ‖g_w‖.</summary>
    private double Shortest(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> toMean, double square, double lambda, double phi, Span<double> w)
    {
        int n = w.Length;
        double shift = lambda / phi;
        var shifted = _shifted.AsSpan(0, n * n);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                shifted[i * n + j] = gram[i * n + j] + shift * (toMean[i] + toMean[j]) + shift * shift * square;
        }

        MinNorm.Solve(shifted, w);
        return Math.Sqrt(MinNorm.SquaredNorm(gram, w));
    }
}
