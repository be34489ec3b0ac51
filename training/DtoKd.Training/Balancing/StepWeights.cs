namespace DtoKd.Training.Balancing;

/// <summary>
/// What a balancer decided for one step. The trainer applies <see cref="Coefficients"/> and logs the rest.
/// </summary>
/// <remarks>
/// Both ways of a step use the same numbers: with one gradient per objective the mixture is g* = Σ coefficient_k ∇L_k; with one
/// backward pass it is the gradient of Σ coefficient_k L_k, the coefficients held constant. Parameters that only one objective
/// reaches receive coefficient_k ∇L_k by the same formula, because the other gradients are zero there.
/// </remarks>
public sealed class StepWeights
{
    private readonly double[] _pi, _coefficients;
    private readonly bool[] _floored, _dropped;

    internal StepWeights(int objectives)
    {
        _pi = new double[objectives];
        _coefficients = new double[objectives];
        _floored = new bool[objectives];
        _dropped = new bool[objectives];
    }

    /// <summary>
    /// [K] the weights π as the rule states them, for the log: of ∇log L_k in the DTO-KD rules, of ∇L_k with fixed weights.
    /// </summary>
    public Span<double> Pi => _pi;

    /// <summary>[K] what multiplies the raw gradient ∇L_k (or the raw loss before one backward pass).</summary>
    public Span<double> Coefficients => _coefficients;

    /// <summary>[K] true where the loss lay below the loss floor, which then stood in for it in logarithm and division.</summary>
    public Span<bool> Floored => _floored;

    /// <summary>
    /// [K] true where the objective was left out of this step because its gradient vanishes beside the others and would have
    /// shrunk the whole step to nothing. Its weight is 0.
    /// </summary>
    public Span<bool> Dropped => _dropped;

    /// <summary>
    /// True when the weights are a minimum on the simplex that lies on its boundary: some objective that took part has weight
    /// 0, so the mixture is the gradient of the others.
    /// </summary>
    public bool Clamped { get; set; }

    /// <summary>The same weights, safe to keep.</summary>
    internal StepWeights Copy()
    {
        var copy = new StepWeights(_pi.Length) { Clamped = Clamped };
        _pi.CopyTo(copy._pi, 0);
        _coefficients.CopyTo(copy._coefficients, 0);
        _floored.CopyTo(copy._floored, 0);
        _dropped.CopyTo(copy._dropped, 0);
        return copy;
    }

    internal void Reset()
    {
        _pi.AsSpan().Clear();
        _coefficients.AsSpan().Clear();
        _floored.AsSpan().Clear();
        _dropped.AsSpan().Clear();
        Clamped = false;
    }
}
