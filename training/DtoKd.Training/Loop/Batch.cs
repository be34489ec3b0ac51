using DtoKd.Engine;

namespace DtoKd.Training.Loop;

/// <summary>The images and labels of one step.</summary>
/// <param name="Images">[N, C, H, W], normalised.</param>
/// <param name="Labels">[N] I64.</param>
public sealed record Batch(Tensor Images, Tensor Labels);
