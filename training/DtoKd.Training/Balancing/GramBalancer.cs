namespace DtoKd.Training.Balancing;

/// <summary>
/// A rule whose direction is a combination of the raw gradients that follows from their Gram matrix. Objectives whose gradient
/// vanishes beside the others are left out of the step, and the Gram matrix is scaled by a power of two to a largest diagonal in
/// [1, 4), so that no rule divides by zero or meets a number outside the range of its iterations.
/// </summary>
public abstract class GramBalancer : Balancer
{
    private readonly double _vanishRatio;
    private readonly double[] _norms, _gram, _losses, _coefficients, _pi;
    private readonly int[] _kept;

    /// <summary>For the rules.</summary>
    /// <param name="name">The name of the rule.</param>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="vanishRatio">An objective is left out when its gradient's norm is at most this share of the largest; in
    /// [0, 1), see <see cref="DtoExact.DefaultVanishRatio"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    protected GramBalancer(string name, int objectives, double vanishRatio = DtoExact.DefaultVanishRatio)
        : base(name, objectives)
    {
        _vanishRatio = VanishedObjectives.CheckRatio(vanishRatio);
        _norms = new double[objectives];
        _gram = new double[objectives * objectives];
        _losses = new double[objectives];
        _coefficients = new double[objectives];
        _pi = new double[objectives];
        _kept = new int[objectives];
    }

    /// <inheritdoc/>
    public override BalancerNeeds Needs => BalancerNeeds.Gram;

    /// <summary>The rule on the objectives that take part.</summary>
    /// <param name="gram">[n, n] row-major, positive diagonal unless all gradients are zero, the largest entry in [1, 4).</param>
    /// <param name="losses">[n] losses.</param>
    /// <param name="unit">What the true Gram matrix is <paramref name="gram"/> times of: a power of four.</param>
    /// <param name="pi">[n], receives the weights as the rule states them.</param>
    /// <param name="coefficients">[n], receives what multiplies each raw gradient.</param>
    protected abstract void Combine(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> losses, double unit, Span<double> pi, Span<double> coefficients);

    /// <inheritdoc/>
    protected sealed override void Decide(in StepSignals signals, StepWeights weights)
    {
        double largest = 0;
        for (int k = 0; k < Objectives; k++)
        {
            double square = Math.Max(0, signals.Gram[k * Objectives + k]);
            largest = Math.Max(largest, square);
            // Norms, not squares, are compared: the square of the ratio may fall below the smallest number.
            _norms[k] = Math.Sqrt(square);
        }

        // An even exponent, so that norms are scaled without rounding too.
        int exponent = largest > 0 ? Math.ILogB(largest) & ~1 : 0;
        int n = VanishedObjectives.Drop(_vanishRatio, _norms, weights.Dropped, _kept);
        for (int s = 0; s < n; s++)
        {
            _losses[s] = signals.Losses[_kept[s]];
            for (int t = 0; t < n; t++)
                _gram[s * n + t] = Math.ScaleB(signals.Gram[_kept[s] * Objectives + _kept[t]], -exponent);
        }

        Span<double> pi = _pi.AsSpan(0, n), coefficients = _coefficients.AsSpan(0, n);
        if (largest == 0)
        {
            pi.Fill(1.0 / n);
            coefficients.Fill(1.0 / n);
        }
        else
        {
            Combine(_gram.AsSpan(0, n * n), _losses.AsSpan(0, n), Math.ScaleB(1, exponent), pi, coefficients);
        }

        for (int s = 0; s < n; s++)
        {
            weights.Pi[_kept[s]] = pi[s];
            weights.Coefficients[_kept[s]] = coefficients[s];
            weights.Clamped |= MarksBorder && pi[s] <= 0;
        }
    }

    /// <summary>Whether the weights are a minimum on the simplex, of which the border is worth marking.</summary>
    protected virtual bool MarksBorder => false;
}
