using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Distillation;

/// <summary>
/// Learning from labels and from a teacher, the paper's three objectives for classification: <c>feature</c> (projected
/// features against the teacher's), <c>task</c> (cross-entropy with the labels) and <c>kl</c> (the teacher's softened answers).
/// </summary>
/// <remarks>
/// With several teachers every one has objectives of its own, named by it: <c>feature:A</c>, <c>feature:B</c>, <c>task</c>,
/// <c>kl:A</c>, <c>kl:B</c>. Their weights are the balancer's business as that of the task is: a mean of the teachers' answers
/// would settle it beforehand.
/// </remarks>
public sealed class DistillationTask : TrainingTask
{
    private readonly VisionModel _student;
    private readonly IReadOnlyList<Lesson> _lessons;
    private readonly double _temperature;
    private readonly double _labelSmoothing;

    /// <summary>Makes the task.</summary>
    /// <param name="student">The network that learns.</param>
    /// <param name="lessons">The networks it learns from, with what compares their features; at least one.</param>
    /// <param name="temperature">T, which softens both answers; the KL term is multiplied by T squared (Hinton et al. 2015).</param>
    /// <param name="labelSmoothing">The share of a label given to all classes evenly.</param>
    public DistillationTask(VisionModel student, IReadOnlyList<Lesson> lessons, double temperature, double labelSmoothing)
    {
        ArgumentOutOfRangeException.ThrowIfZero(lessons.Count, nameof(lessons));
        (_student, _lessons, _temperature, _labelSmoothing) = (student, lessons, temperature, labelSmoothing);
        IEnumerable<string> Named(string objective) =>
            lessons.Select(lesson => lessons.Count == 1 ? objective : $"{objective}:{lesson.Name}");
        Objectives = [.. Named("feature"), "task", .. Named("kl")];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Objectives { get; }

    /// <inheritdoc/>
    public override int Task => _lessons.Count;

    /// <inheritdoc/>
    public override TaskLosses Losses(Batch batch)
    {
        ModelOutput[] taught = [.. _lessons.Select(lesson => lesson.Teacher.Forward(batch.Images))];
        var learned = _student.Forward(batch.Images, withFeatures: true);
        var answer = learned.DistillationLogits ?? learned.Logits;
        return new TaskLosses(
            [
                .. _lessons.Zip(taught, (lesson, teacher) => lesson.Projectors.Loss(learned.Features, teacher.Features)),
                Op.CrossEntropy(learned.Logits, batch.Labels, labelSmoothing: _labelSmoothing),
                .. taught.Select(teacher => Op.KlDivergence(answer, teacher.Prediction, _temperature)),
            ],
            learned.Representation);
    }
}

/// <summary>A teacher and how the student is compared with it.</summary>
/// <param name="Name">The teacher's name among several.</param>
/// <param name="Teacher">The network.</param>
/// <param name="Projectors">What compares features.</param>
public sealed record Lesson(string Name, Teacher Teacher, FeatureProjectors Projectors);
