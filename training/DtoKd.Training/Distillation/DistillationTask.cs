using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Distillation;

/// <summary>
/// Learning from labels and from a teacher, the paper's three objectives for classification: <c>feature</c> (projected
/// features against the teacher's), <c>task</c> (cross-entropy with the labels) and <c>kl</c> (the teacher's softened answers).
/// </summary>
/// <param name="student">The network that learns.</param>
/// <param name="teacher">The network it learns from.</param>
/// <param name="projectors">What compares their features.</param>
/// <param name="temperature">T, which softens both answers; the KL term is multiplied by T squared (Hinton et al. 2015).</param>
/// <param name="labelSmoothing">The share of a label given to all classes evenly.</param>
public sealed class DistillationTask(
    VisionModel student, Teacher teacher, FeatureProjectors projectors, double temperature, double labelSmoothing) : TrainingTask
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Objectives { get; } = ["feature", "task", "kl"];

    /// <inheritdoc/>
    public override int Task => 1;

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Losses(Batch batch)
    {
        var taught = teacher.Forward(batch.Images);
        var learned = student.Forward(batch.Images, withFeatures: true);
        return
        [
            projectors.Loss(learned.Features, taught.Features),
            Op.CrossEntropy(learned.Logits, batch.Labels, labelSmoothing: labelSmoothing),
            Op.KlDivergence(learned.DistillationLogits ?? learned.Logits, taught.Prediction, temperature),
        ];
    }
}
