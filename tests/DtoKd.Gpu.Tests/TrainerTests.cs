using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Gpu.Tests;

/// <summary>Whole training steps on the device: what they cost in copies and waits, and that going ahead changes nothing.</summary>
public class TrainerTests
{
    private const int Batch = 6;

    private static GpuDevice Device => TestDevice.Gpu;

    [Theory]
    // What is logged, one step later.
    [InlineData("fixed", 1)]
    // The losses, before the weights.
    [InlineData("amortised", 2)]
    // The losses and the Gram matrix together, before the weights.
    [InlineData("exact", 2)]
    [InlineData("exact-features", 2)]
    // The losses before the weights, and again after the step.
    [InlineData("amortised-famo", 3)]
    public void A_step_waits_for_the_numbers_that_it_decides_by_and_brings_its_batch_in_one_copy(string method, int reads)
    {
        using var rig = new Rig(Device, method, new TrainerOptions { ClipNorm = 1 });
        for (int i = 0; i < 3; i++)
            rig.Advance();
        (long read, long uploaded, long launched) = (Device.HostReads, Device.Uploads, Device.Launches);
        rig.Advance();
        long each = Device.Launches - launched;
        for (int i = 1; i < 4; i++)
            rig.Advance();
        Assert.Equal(4 * reads, Device.HostReads - read);
        Assert.Equal(4 * each, Device.Launches - launched);
        // A batch that is fetched ahead may be counted with the step before or after.
        Assert.InRange(Device.Uploads - uploaded, 3, 5);
        rig.Finish();
    }

    [Fact]
    public void A_step_of_one_backward_pass_launches_so_many_kernels()
    {
        using var rig = new Rig(Device, "fixed", new TrainerOptions { ClipNorm = 1 });
        rig.Advance();
        long launched = Device.Launches;
        rig.Advance();
        // Beside the operations: three losses taken, the norm in two, the scale, and the update of weights and of biases.
        Assert.InRange(Device.Launches - launched, 8, 80);
        rig.Finish();
    }

    [Theory]
    [InlineData("fixed", 1)]
    [InlineData("fixed", 4)]
    [InlineData("exact", 1)]
    [InlineData("exact-features", 2)]
    [InlineData("amortised-famo", 2)]
    public void Going_ahead_takes_the_steps_of_waiting_to_the_last_bit_and_those_of_the_CPU_nearly(string method, int parts)
    {
        const int Steps = 5;
        var options = new TrainerOptions { ClipNorm = 0.5, Accumulate = parts, DiagnosticsEvery = 2 };
        using var cpu = new CpuDevice(2);
        using Rig ahead = new(Device, method, options), waiting = new(Device, method, options), reference = new(cpu, method, options);
        for (int i = 0; i < Steps; i++)
            ahead.Advance();
        ahead.Finish();
        for (int i = 0; i < Steps; i++)
        {
            var (a, b, c) = (ahead.Reports[i], waiting.Trainer.Step(), reference.Trainer.Step());
            Assert.Equal((i + 1, b.Position, b.Images), (a.Step, a.Position, a.Images));
            Assert.Equal(b.GradientNorm, a.GradientNorm);
            Assert.Equal(c.GradientNorm, a.GradientNorm, 1e-4 * c.GradientNorm);
            Assert.Equal(b.TradeOff.Losses, a.TradeOff.Losses);
            Assert.Equal(b.TradeOff.Coefficients, a.TradeOff.Coefficients);
            Assert.Equal(b.TradeOff.NormRatio, a.TradeOff.NormRatio);
            Assert.Equal(c.TradeOff.HasGram, a.TradeOff.HasGram);
            for (int k = 0; k < 3; k++)
                Assert.Equal(c.TradeOff.Losses[k], a.TradeOff.Losses[k], 1e-4 * c.TradeOff.Losses[k]);
        }

        Assert.Equal(waiting.Parameters, ahead.Parameters);
        for (int i = 0; i < ahead.Parameters.Length; i++)
            Assert.Equal(reference.Parameters[i], ahead.Parameters[i], 1e-4f);
    }

    [Theory]
    [InlineData("fixed")]
    [InlineData("exact")]
    public void After_a_number_that_is_not_finite_nothing_is_updated_although_steps_follow(string method)
    {
        using var rig = new Rig(Device, method, new TrainerOptions(), badStep: 3);
        rig.Advance();
        rig.Advance();
        float[] before = rig.Parameters;
        var failure = Assert.Throws<TrainingDivergedException>(() =>
        {
            rig.Advance();
            rig.Advance();
            rig.Finish();
        });
        Assert.Equal(3, failure.Step);
        Assert.Equal("second", failure.Objective);
        Assert.Equal(before, rig.Parameters);
    }

    [Fact]
    public void A_damaged_image_is_told_of_where_its_batch_is_asked_for()
    {
        var digits = Digits.Load().Train.Subset([.. Enumerable.Range(0, 18)]);
        var images = new ImageDataset(
            digits.Format,
            image => image == 13 ? throw new InvalidDataException("13.png: not an image") : digits.Pixels(image).ToArray(),
            digits.Labels.ToArray());
        var loader = new BatchLoader(images, new BatchPlan(18, Batch, seed: 0, shuffle: false));
        using var feeder = new BatchFeeder(Device, loader, Batch);
        BatchPart[] parts = [.. Enumerable.Range(0, 3).Select(batch => new BatchPart(new BatchPosition(0, batch), 0, Batch))];
        for (int batch = 0; batch < 2; batch++)
        {
            using var step = Step.Evaluation(Device);
            var (values, labels) = feeder.Next(step, parts[batch], parts[batch + 1]);
            float[] pixels = new float[Batch * 64];
            long[] classes = new long[Batch];
            loader.Load(parts[batch].Position, pixels, classes);
            Assert.Equal(pixels, values.ToArray<float>());
            Assert.Equal(classes, labels.ToArray<long>());
        }

        using var last = Step.Evaluation(Device);
        var failure = Assert.Throws<InvalidDataException>(() => feeder.Next(last, parts[2], null));
        Assert.StartsWith("13.png", failure.Message, StringComparison.Ordinal);
    }

    private sealed class Rig : IDisposable
    {
        private readonly ParameterArena _arena;
        private readonly AdamW _optimiser;

        public Rig(Device device, string method, TrainerOptions options, int badStep = 0)
        {
            var images = Digits.Load().Train;
            _arena = new ParameterArena(device);
            var task = new ThreeLosses(_arena, badStep);
            _arena.Seal(seed: 4);
            _optimiser = new AdamW(_arena, 0.05);
            Trainer = new Trainer(
                device,
                _arena,
                task,
                BalancerRegistry.Create(method, new BalancerOptions { Objectives = 3, Task = 0 }),
                _optimiser,
                new CosineSchedule(1e-2, 100),
                new BatchLoader(images, new BatchPlan(images.Count, Batch, seed: 2), new Augmentation(1)),
                options);
        }

        public Trainer Trainer { get; }

        public List<StepReport> Reports { get; } = [];

        public float[] Parameters => _arena.Flat.ToArray<float>();

        /// <summary>As a run does.</summary>
        public void Advance()
        {
            Trainer.Queue();
            while (Trainer.Queued > Trainer.MostAhead)
                Reports.Add(Trainer.Report());
        }

        public void Finish()
        {
            while (Trainer.Queued > 0)
                Reports.Add(Trainer.Report());
        }

        public void Dispose()
        {
            Trainer.Dispose();
            _optimiser.Dispose();
            _arena.Dispose();
        }
    }

    /// <summary>Three losses of a network of two layers; the second is infinite at one step.</summary>
    private sealed class ThreeLosses : TrainingTask
    {
        private readonly Parameter _inner, _bias, _outer;
        private readonly int _badStep;
        private int _step;

        public ThreeLosses(ParameterArena arena, int badStep)
        {
            _badStep = badStep;
            _inner = arena.Root.Parameter("inner.weight", [7, 64], Small);
            _bias = arena.Root.Parameter("inner.bias", [7], Small);
            _outer = arena.Root.Parameter("outer.weight", [5, 7], Small);
        }

        public override IReadOnlyList<string> Objectives { get; } = ["first", "second", "third"];

        public override int Task => 0;

        public override TaskLosses Losses(Batch batch)
        {
            int images = batch.Images.Shape[0];
            var features = Op.Gelu(Op.Linear(Op.Reshape(batch.Images, [images, 64]), _inner, _bias));
            var y = Op.Linear(features, _outer);
            double factor = ++_step == _badStep ? double.PositiveInfinity : 1;
            return new TaskLosses(
                [Op.Mean(Op.Square(y + -0.5)), Op.Affine(Op.Mean(Op.Square(features)), factor), Op.Mean(Op.Square(y + 1.0))], [features]);
        }

        private static void Small(Span<float> values, Shape shape, PhiloxStream random)
        {
            random.FillNormal(values);
            foreach (ref float value in values)
                value *= 0.2f;
        }
    }
}
