using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Distillation;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Benchmarks;

/// <summary>
/// Whole training steps as <see cref="Trainer"/> takes them, on random images of 224 x 224 in 1000 classes: loading, forward,
/// losses, backward, AdamW. With a teacher, its forward pass and a divergence from its answers as second objective.
/// </summary>
public sealed class TrainingWorkload : Workload
{
    private const double WeightDecay = 0.05;
    private const double LearningRate = 1e-3;

    private readonly Network _student;
    private readonly Network? _teacher;
    private readonly Optimiser _optimiser;
    private readonly Trainer _trainer;

    private TrainingWorkload(Device device, string name, string student, string? teacher, int batch, string method, double dropPath)
        : base(name, batch, "images")
    {
        var images = RandomImages.Of(batch);
        _student = Network.Create(device, student, images.Format, seed: 1, dropPath: dropPath);
        TrainingTask task;
        if (teacher is null)
        {
            task = new ClassificationTask(_student.Model, labelSmoothing: 0);
        }
        else
        {
            _teacher = Network.Create(device, teacher, images.Format, seed: 2);
            _teacher.Arena.Freeze();
            task = new LogitTask(_student.Model, new Teacher(_teacher.Model));
        }

        _optimiser = new AdamW(_student.Arena, WeightDecay);
        _trainer = new Trainer(
            device,
            _student.Arena,
            task,
            BalancerRegistry.Create(method, new BalancerOptions { Objectives = task.Objectives.Count, Task = task.Task }),
            _optimiser,
            new CosineSchedule(LearningRate, totalSteps: 1_000_000),
            new BatchLoader(images, new BatchPlan(images.Count, batch, seed: 0)),
            new TrainerOptions());
    }

    /// <summary>Training on labels.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="model">A network of the zoo.</param>
    /// <param name="batch">Images in a step.</param>
    /// <param name="dropPath">The rate of stochastic depth. Above 0 some of the work is left out.</param>
    public static TrainingWorkload Step(Device device, string model, int batch, double dropPath = 0) =>
        new(device, $"step {model} batch {batch}{DropPath(dropPath)}", model, null, batch, "fixed", dropPath);

    /// <summary>Training on labels and a teacher's answers.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="teacher">A network of the zoo.</param>
    /// <param name="student">Another.</param>
    /// <param name="batch">Images in a step.</param>
    /// <param name="method">How the two objectives are weighed; a name of <see cref="BalancerRegistry"/>.</param>
    /// <param name="dropPath">The rate of the student's stochastic depth.</param>
    public static TrainingWorkload Distillation(
        Device device, string teacher, string student, int batch, string method, double dropPath = 0) =>
        new(device, $"kd {teacher} -> {student} batch {batch} {method}{DropPath(dropPath)}", student, teacher, batch, method, dropPath);

    /// <inheritdoc/>
    public override void Run() => _trainer.Step();

    /// <inheritdoc/>
    public override void Dispose()
    {
        _trainer.Dispose();
        _optimiser.Dispose();
        _teacher?.Dispose();
        _student.Dispose();
    }

    private static string DropPath(double rate) => rate == 0 ? "" : FormattableString.Invariant($" drop path {rate}");

    /// <summary>Cross-entropy with the labels, and the divergence from the teacher's answers (Hinton et al. 2015, T = 1).</summary>
    private sealed class LogitTask(VisionModel student, Teacher teacher) : TrainingTask
    {
        public override IReadOnlyList<string> Objectives { get; } = ["task", "kl"];

        public override int Task => 0;

        public override TaskLosses Losses(Batch batch)
        {
            var taught = teacher.Forward(batch.Images);
            var learned = student.Forward(batch.Images);
            return new TaskLosses(
                [Op.CrossEntropy(learned.Logits, batch.Labels), Op.KlDivergence(learned.Logits, taught.Prediction)],
                learned.Representation);
        }
    }
}
