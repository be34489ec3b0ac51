namespace DtoKd.Training.Balancing;

/// <summary>What a balancer asks of a training step beside the losses, which it always gets.</summary>
[Flags]
public enum BalancerNeeds
{
    /// <summary>The losses alone: one backward pass through the weighted sum is enough.</summary>
    None = 0,

    /// <summary>
    /// The Gram matrix of the objectives' gradients over the shared parameters: one backward pass per objective.
    /// </summary>
    Gram = 1,

    /// <summary>
    /// The losses of the same batch again after the optimiser has stepped: one more forward pass without gradients, with the
    /// same random masks and without a second update of running statistics.
    /// </summary>
    LossesAfterStep = 2,

    /// <summary>
    /// The Gram matrix of the objectives' gradients at the shared representation instead: for each objective a backward pass
    /// through what follows the representation, and one pass through everything for all.
    /// </summary>
    FeatureGram = 4,
}
