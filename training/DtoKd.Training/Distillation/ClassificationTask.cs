using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Distillation;

/// <summary>Learning from labels alone: cross-entropy, with smoothed labels if asked for.</summary>
/// <param name="model">The network.</param>
/// <param name="labelSmoothing">The share of a label given to all classes evenly.</param>
public sealed class ClassificationTask(VisionModel model, double labelSmoothing) : TrainingTask
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Objectives { get; } = ["task"];

    /// <inheritdoc/>
    public override int Task => 0;

    /// <inheritdoc/>
    public override TaskLosses Losses(Batch batch)
    {
        // A distillation head that has no teacher learns from the labels too: its logits count in the network's answer.
        var output = model.Forward(batch.Images);
        var loss = Op.CrossEntropy(output.Logits, batch.Labels, labelSmoothing: labelSmoothing);
        if (output.DistillationLogits is { } second)
            loss = Op.Affine(loss + Op.CrossEntropy(second, batch.Labels, labelSmoothing: labelSmoothing), 0.5);
        return new TaskLosses([loss], output.Representation);
    }
}
