using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;
using DtoKd.Models;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Distillation;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Verification;

/// <summary>Short trainings on a device against the same on the processor: the losses of every step must agree.</summary>
public static class ModelChecks
{
    // Rounding differs between devices, and AdamW divides small gradients by their size: losses drift apart slowly. Vectors of
    // another width, on one processor, move them by 2e-7 in 20 steps.
    private const double Tolerance = 1e-4;

    // With products of TF32 or bf16 the two train on different numbers.
    private const double LowPrecisionTolerance = 3e-2;

    private const int BatchSize = 32;
    private const double LearningRate = 1e-3, WeightDecay = 0.05, LabelSmoothing = 0.1;
    private const string Teacher = "regnety_nano", Learner = "deit_micro_distilled";

    /// <summary>Steps of each training.</summary>
    public const int Steps = 20;

    /// <summary>One training on labels for each small network, and one distillation that compares gradients at every step.</summary>
    /// <param name="steps">Steps of each.</param>
    public static IEnumerable<DeviceCheck> All(int steps = Steps) =>
    [
        .. Zoo.Entries.Where(entry => entry.Name.EndsWith("_micro", StringComparison.Ordinal) || entry.Name.EndsWith("_nano", StringComparison.Ordinal))
            .Select(entry => Check(entry.Name, $"{steps} steps on labels", device => Train(device, entry.Name, steps))),
        .. new[] { "exact", "exact-features", "amortised" }
            .Select(method => Check(Learner, $"{steps} steps with teacher {Teacher}, {method}", device => Distil(device, method, steps))),
    ];

    private static DeviceCheck Check(string network, string name, Func<Device, double[]> losses) =>
        new(network, name, device =>
        {
            using var processor = new CpuDevice();
            bool isLow = device is GpuDevice { MatmulPrecision: not MatmulPrecision.Highest };
            return DeviceCheckOutcome.Compare(
                losses(processor), losses(device), isLow ? LowPrecisionTolerance : Tolerance, "losses");
        });

    private static double[] Train(Device device, string name, int steps)
    {
        var images = Digits.Load().Train;
        using var network = Network.Create(device, name, images.Format, seed: 1);
        return Run(device, network, new ClassificationTask(network.Model, LabelSmoothing), "none", images, steps);
    }

    private static double[] Distil(Device device, string method, int steps)
    {
        var images = Digits.Load().Train;
        using var teacher = Network.Create(device, Teacher, images.Format, seed: 2);
        teacher.Arena.Freeze();
        FeatureProjectors projectors = null!;
        using var student = Network.Create(device, Learner, images.Format, seed: 1, (model, beside) =>
            projectors = new FeatureProjectors(beside, model.Features, teacher.Model.Features, scales: 2, grid: 2));
        var task = new DistillationTask(
            student.Model, [new Lesson(Teacher, new Teacher(teacher.Model), projectors)], temperature: 2, LabelSmoothing);
        return Run(device, student, task, method, images, steps);
    }

    private static double[] Run(Device device, Network network, TrainingTask task, string method, ImageDataset images, int steps)
    {
        using var optimiser = new AdamW(network.Arena, WeightDecay);
        using var trainer = new Trainer(
            device,
            network.Arena,
            task,
            BalancerRegistry.Create(method, new BalancerOptions { Objectives = task.Objectives.Count, Task = task.Task }),
            optimiser,
            new CosineSchedule(LearningRate, totalSteps: 10 * steps),
            new BatchLoader(images, new BatchPlan(images.Count, BatchSize, seed: 0)),
            new TrainerOptions { ClipNorm = 5 });
        var losses = new List<double>();
        for (int i = 0; i < steps; i++)
            losses.AddRange(trainer.Step().TradeOff.Losses);
        return [.. losses];
    }
}
