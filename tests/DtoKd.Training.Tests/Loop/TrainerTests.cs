using DtoKd.Engine.Cpu;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Distillation;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Loop;

/// <summary>Resident memory is the process's: these tests run while no other does.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public class Alone;

[Collection("alone")]
public class TrainerTests
{
    [Theory]
    [InlineData("exact")]
    [InlineData("exact-features")]
    [InlineData("amortised-famo")]
    public void Nothing_that_a_step_made_lives_after_it(string method)
    {
        using var device = new CpuDevice(2);
        var images = Digits.Load().Train;
        using var teacher = Network.Create(device, "regnety_nano", images.Format, seed: 1);
        teacher.Arena.Freeze();
        FeatureProjectors? projectors = null;
        using var student = Network.Create(device, "deit_micro_distilled", images.Format, seed: 2, (model, beside) =>
            projectors = new FeatureProjectors(beside["projectors"], model.Features, teacher.Model.Features, scales: 3, grid: 2));
        var task = new DistillationTask(student.Model, [new Lesson("teacher", new Teacher(teacher.Model), projectors!)], temperature: 2, labelSmoothing: 0.1);
        using var optimiser = new AdamW(student.Arena, 0.05);
        using var trainer = new Trainer(
            device,
            student.Arena,
            task,
            BalancerRegistry.Create(method, new BalancerOptions { Objectives = 3, Task = 1 }),
            optimiser,
            new CosineSchedule(1e-3, 100),
            new BatchLoader(images, new BatchPlan(images.Count, 32, seed: 0, dropLast: true)),
            new TrainerOptions { DiagnosticsEvery = 10, ClipNorm = 1 });
        for (int i = 0; i < 12; i++)
            trainer.Step();
        var pool = (device.Pool.LiveBytes, device.Pool.LiveBlocks, device.Pool.ReservedBytes);
        long resident = Resident();
        for (int i = 0; i < 100; i++)
            trainer.Step();
        Assert.Equal(pool, (device.Pool.LiveBytes, device.Pool.LiveBlocks, device.Pool.ReservedBytes));
        Assert.InRange(Resident() - resident, long.MinValue, 32L << 20);
    }

    [Fact]
    public void Looking_for_anomalies_changes_no_result() =>
        Assert.Equal(Parameters(diagnosticsEvery: 1), Parameters(diagnosticsEvery: 1, detectAnomaly: true));

    [Fact]
    public void The_exact_rule_and_one_backward_pass_with_its_coefficients_take_the_same_step()
    {
        // Mixing K gradients and differentiating the weighted sum are the same linear map, up to rounding.
        var byStore = Parameters(diagnosticsEvery: 1);
        var bySum = Parameters(diagnosticsEvery: 0);
        for (int i = 0; i < byStore.Length; i++)
            Assert.Equal(bySum[i], byStore[i], 2e-5f);
    }

    private static float[] Parameters(int diagnosticsEvery, bool detectAnomaly = false)
    {
        using var device = new CpuDevice(2);
        var images = Digits.Load().Train;
        using var teacher = Network.Create(device, "regnety_nano", images.Format, seed: 1);
        teacher.Arena.Freeze();
        FeatureProjectors? projectors = null;
        using var student = Network.Create(device, "regnety_nano", images.Format, seed: 2, (model, beside) =>
            projectors = new FeatureProjectors(beside["projectors"], model.Features, teacher.Model.Features, scales: 1, grid: 1));
        using var optimiser = new Sgd(student.Arena, momentum: 0, weightDecay: 0);
        using var trainer = new Trainer(
            device,
            student.Arena,
            new DistillationTask(student.Model, [new Lesson("teacher", new Teacher(teacher.Model), projectors!)], temperature: 1, labelSmoothing: 0),
            new FixedWeights([0.2, 0.5, 0.3]),
            optimiser,
            new CosineSchedule(0.1, 100),
            new BatchLoader(images, new BatchPlan(images.Count, 32, seed: 0)),
            new TrainerOptions { DiagnosticsEvery = diagnosticsEvery, DetectAnomaly = detectAnomaly });
        trainer.Step();
        return student.Arena.Flat.ToArray<float>();
    }

    private static long Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return System.Diagnostics.Process.GetCurrentProcess().WorkingSet64;
    }
}
