namespace DtoKd.Training.Balancing;

/// <summary>What one training step tells a balancer.</summary>
/// <remarks>
/// Losses and gradients are those of the whole batch: with accumulation or several devices, average both first and form the
/// Gram matrix then, because log(mean) is not mean(log) and the Gram matrix of a part of the batch is biased.
/// </remarks>
/// <param name="losses">[K] losses L_k, each the scalar its gradient is of.</param>
/// <param name="gram">[K, K] row-major inner products ⟨∇L_i, ∇L_j⟩ of the raw gradients (not of the logarithms) over the shared
/// parameters only, or at the shared representation for a rule that needs <see cref="BalancerNeeds.FeatureGram"/>; empty when not
/// computed.</param>
public readonly ref struct StepSignals(ReadOnlySpan<double> losses, ReadOnlySpan<double> gram = default)
{
    /// <summary>[K] losses before the step.</summary>
    public ReadOnlySpan<double> Losses { get; } = losses;

    /// <summary>[K, K] Gram matrix of the raw gradients, or empty.</summary>
    public ReadOnlySpan<double> Gram { get; } = gram;

    /// <summary>Whether the Gram matrix was computed this step.</summary>
    public bool HasGram => !Gram.IsEmpty;
}
