using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>The result of a network: logits for each image, and what it computed on the way, for distillation.</summary>
/// <param name="Logits">[N, classes].</param>
/// <param name="Features">
/// Maps [N, C, H, W], one for each of <see cref="VisionModel.Features"/>; empty if they were not asked for.
/// </param>
/// <param name="Representation">
/// The tensors, from shallow to deep, that logits and features are made of: no path leads from a parameter before the deepest
/// of them to the logits or features around all of them. What comes after is heads.
/// </param>
public sealed record ModelOutput(Tensor Logits, IReadOnlyList<Tensor> Features, IReadOnlyList<Tensor> Representation)
{
    /// <summary>The logits [N, classes] of a distillation token's head; null for a network without one.</summary>
    public Tensor? DistillationLogits { get; init; }

    /// <summary>
    /// What the network answers: the mean of both heads' logits where there are two (DeiT, Touvron et al. 2021, section 4),
    /// the logits otherwise.
    /// </summary>
    public Tensor Prediction => DistillationLogits is null ? Logits : Op.Affine(Logits + DistillationLogits, 0.5);
}

/// <summary>A feature map that a network offers for distillation.</summary>
/// <param name="Name">Where it comes from, such as <c>s3</c> or <c>blocks.11</c>.</param>
/// <param name="Channels">Its channels.</param>
/// <param name="Height">Its height in positions.</param>
/// <param name="Width">Its width in positions.</param>
public sealed record FeatureInfo(string Name, int Channels, int Height, int Width);

/// <summary>What a network is built for.</summary>
/// <param name="Channels">Channels of an image.</param>
/// <param name="Height">Height of an image in pixels.</param>
/// <param name="Width">Width of an image in pixels.</param>
/// <param name="Classes">Classes to tell apart.</param>
public sealed record ImageSpec(int Channels, int Height, int Width, int Classes);

/// <summary>A network that classifies images. Its parameters lie in the arena of the scope given to its constructor.</summary>
public abstract class VisionModel
{
    /// <summary>The feature maps of <see cref="ModelOutput.Features"/>, from shallow to deep.</summary>
    public abstract IReadOnlyList<FeatureInfo> Features { get; }

    /// <summary>Classifies images.</summary>
    /// <param name="images">[N, C, H, W], normalised.</param>
    /// <param name="withFeatures">Whether the result holds the feature maps.</param>
    public abstract ModelOutput Forward(Tensor images, bool withFeatures = false);
}
