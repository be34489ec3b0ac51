using DtoKd.Engine.Cpu;
using DtoKd.Tests;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Distillation;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Loop;

/// <summary>What a training step leaves to the garbage collector once it is warm.</summary>
public class AllocationTests
{
    // Handles of results and closures of kernels. Elements are never in it, nor are lists of the step.
    private const long BytesPerRecord = 800;

    [Theory]
    [InlineData("deit_micro")]
    [InlineData("swin_micro")]
    [InlineData("regnety_micro")]
    public void A_step_allocates_some_hundred_bytes_an_operation_whatever_the_batch(string model)
    {
        var (small, records) = OfStep(model, batch: 4);
        var (large, _) = OfStep(model, batch: 32);
        Assert.InRange(small, 1, records * BytesPerRecord);
        Assert.InRange(large, 1, records * BytesPerRecord);
    }

    private static (long Bytes, int Records) OfStep(string name, int batch)
    {
        using var device = new CpuDevice(1);
        var images = Noise(batch);
        using var network = Network.Create(device, name, images.Format, seed: 1);
        var task = new Counting(new ClassificationTask(network.Model, labelSmoothing: 0));
        using var optimiser = new AdamW(network.Arena, weightDecay: 0.05);
        using var trainer = new Trainer(
            device,
            network.Arena,
            task,
            BalancerRegistry.Create("fixed", new BalancerOptions { Objectives = 1, Task = 0 }),
            optimiser,
            new CosineSchedule(1e-3, totalSteps: 1000),
            new BatchLoader(images, new BatchPlan(images.Count, batch, seed: 0)),
            new TrainerOptions());
        for (int i = 0; i < 3; i++)
            trainer.Step();
        return (Allocation.Of(() => trainer.Step()), task.Records);
    }

    private static ImageDataset Noise(int count)
    {
        var format = new ImageFormat(
            "noise", [.. Enumerable.Range(0, 10).Select(label => $"{label}")], 3, 32, 32, 255, [0.5f, 0.5f, 0.5f], [0.25f, 0.25f, 0.25f]);
        var random = new Random(1);
        byte[] pixels = new byte[count * format.ImageSize];
        random.NextBytes(pixels);
        return new ImageDataset(format, pixels, [.. Enumerable.Range(0, count).Select(_ => random.Next(10))]);
    }

    /// <summary>A task that tells how many operations and leaves are on the tape when its losses are known.</summary>
    private sealed class Counting(TrainingTask task) : TrainingTask
    {
        public int Records { get; private set; }

        public override IReadOnlyList<string> Objectives => task.Objectives;

        public override int Task => task.Task;

        public override TaskLosses Losses(Batch batch)
        {
            var losses = task.Losses(batch);
            Records = losses.Values[0].Step!.Tape.Length;
            return losses;
        }
    }
}
