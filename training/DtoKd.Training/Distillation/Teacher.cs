using DtoKd.Engine;
using DtoKd.Models;

namespace DtoKd.Training.Distillation;

/// <summary>A frozen network that a student learns from: no gradients, running statistics, no dropout.</summary>
/// <param name="model">The trained network.</param>
public sealed class Teacher(VisionModel model)
{
    /// <summary>The feature maps it offers.</summary>
    public IReadOnlyList<FeatureInfo> Features => model.Features;

    /// <summary>Looks at the images that the student sees, augmented as they are.</summary>
    public ModelOutput Forward(Tensor images)
    {
        using (images.Step!.Evaluating())
            return model.Forward(images, withFeatures: true);
    }
}
