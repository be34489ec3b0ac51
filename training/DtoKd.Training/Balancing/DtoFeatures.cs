namespace DtoKd.Training.Balancing;

// π ∈ argmin ½‖Σ π_k ∇_Z log L_k‖² over the simplex,  step Σ π_k ∇_θ log L_k      (eq. 9 of DTO-KD with the gradients at the shared
//                                                                             representation, as in MGDA-UB: Sener and Koltun,
//   Z        what the network makes of the batch and every objective starts from   "Multi-task learning as multi-objective
//   M        ∂Z/∂θ, so that ∇_θ L_k = Mᵀ ∇_Z L_k for the parameters before Z       optimization", 2018, section 3.3)
//
//   ‖Σ π_k ∇_θ log L_k‖ ≤ ‖M‖ ‖Σ π_k ∇_Z log L_k‖: what is minimised is an upper bound of what the exact rule minimises.

/// <summary>
/// DTO-KD with weights solved from the gradients at the shared representation: one backward pass through the network instead of
/// one for each objective.
/// </summary>
/// <remarks>
/// <para>
/// The step is the mixture of the parameters' gradients with these weights; only the weights differ from <see cref="DtoExact"/>'s.
/// They are the same where M Mᵀ is a multiple of the identity.
/// </para>
/// <para>
/// What is lost: the guarantees hold at Z, not at θ. There ⟨g*, ∇log L_k⟩ ≥ ‖g*‖² for every objective; at θ the inner product
/// carries M Mᵀ in the middle and may be negative: a step along the mixture can raise one of the losses. Sener and Koltun's
/// argument that it descends for all where M has full rank does not exclude it. Conflicts are those of single positions of single
/// images, before the parameters average over them. Parameters after Z that several objectives share, such as the classifier's
/// head, have no say in the weights.
/// </para>
/// </remarks>
public sealed class DtoFeatures : DtoExact
{
    /// <summary>Makes the rule.</summary>
    /// <inheritdoc cref="DtoExact(int, double, double)"/>
    public DtoFeatures(int objectives, double lossFloor = LossFloor.Default, double vanishRatio = DefaultVanishRatio)
        : base("exact-features", objectives, lossFloor, vanishRatio)
    {
    }

    /// <inheritdoc/>
    public override BalancerNeeds Needs => BalancerNeeds.FeatureGram;
}
