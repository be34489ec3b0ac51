using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;
using DtoKd.Models;

namespace DtoKd.Gpu.Tests;

/// <summary>A vision transformer of the smallest sizes that learns from labels and from a teacher's answers.</summary>
public class DeiTTests
{
    private const int Batch = 3, Classes = 3, Side = 4;

    private static readonly DeiTConfig _config = new(PatchSize: 2, Size: 8, Depth: 1, Heads: 2, Distilled: true, DropPath: 0.5) { Deviation = 0.5 };

    [Fact]
    public void A_distillation_has_the_losses_of_the_CPU_and_no_step_reads_the_device()
    {
        using var cpu = new CpuDevice(1);
        double[] expected = Train(cpu), actual = Train(TestDevice.Gpu);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 2e-5 * Math.Abs(expected[i]));
        Assert.NotEqual(actual[0], actual[2]);
        Assert.Equal(0, TestDevice.Gpu.Pool.LiveBytes);
    }

    // Cross-entropy and divergence before and after an update.
    private static double[] Train(Device device)
    {
        using var student = new Student(device);
        var losses = new List<double>();
        for (int number = 1; number <= 2; number++)
        {
            using var step = Step.Training(device, seed: 7, (ulong)number);
            var batch = student.Inputs(step);
            long reads = Reads(device);
            var (task, kl) = student.Learn(step, batch, number);
            Assert.Equal(reads, Reads(device));
            losses.AddRange([task.Item(), kl.Item()]);
        }

        return [.. losses];
    }

    private static long Reads(Device device) => (device as GpuDevice)?.HostReads ?? 0;

    private sealed class Student : IDisposable
    {
        private readonly ParameterArena _arena;
        private readonly DeiT _model;
        private readonly GradStore _task, _kl;
        private readonly Tensor _first, _second;

        public Student(Device device)
        {
            _arena = new ParameterArena(device);
            _model = new DeiT(_arena.Root, new ImageSpec(3, Side, Side, Classes), _config);
            _arena.Seal(seed: 3);
            (_task, _kl) = (new GradStore(_arena), new GradStore(_arena));
            (_first, _second) = (_arena.NewFlat("m"), _arena.NewFlat("v"));
        }

        public (Tensor Images, Tensor Labels, Tensor Teacher) Inputs(Step step)
        {
            float[] Wave(int count, float frequency) =>
                Array.ConvertAll(Enumerable.Range(0, count).ToArray(), i => 2 * MathF.Sin(frequency * i));
            return (
                step.From(Wave(Batch * 3 * Side * Side, 0.7f), [Batch, 3, Side, Side]),
                step.From([0L, 2, 1], [Batch]),
                step.From(Wave(Batch * Classes, 1.9f), [Batch, Classes]));
        }

        public (Tensor Task, Tensor Kl) Learn(Step step, (Tensor Images, Tensor Labels, Tensor Teacher) batch, int number)
        {
            var output = _model.Forward(batch.Images);
            var task = Op.CrossEntropy(output.Logits, batch.Labels, labelSmoothing: 0.1);
            var kl = Op.KlDivergence(output.DistillationLogits!, batch.Teacher, 2);
            step.Tape.Backward(task, _task, retain: true);
            step.Tape.Backward(kl, _kl);
            var all = new FlatRange(0, _arena.FlatLength);
            foreach (var gradient in new[] { _task.Flat, _kl.Flat })
                Flat.Adam(_arena.Flat, gradient, 1, _first, _second, null, all, new AdamStep(0.002, 0.9, 0.999, 1e-8, 0.01, number));
            return (task, kl);
        }

        public void Dispose()
        {
            _first.Dispose();
            _second.Dispose();
            _task.Dispose();
            _kl.Dispose();
            _arena.Dispose();
        }
    }
}
