using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models;
using DtoKd.Tests;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Loop;

/// <summary>What holds for every balancer in a training step: parts of a batch, clipping, the second look, checkpoints.</summary>
public sealed class StepSemanticsTests : IDisposable
{
    private readonly TemporaryFolder _temp = new();

    public static TheoryData<string> Rules => [.. BalancerRegistry.Distinct.Select(entry => entry.Name)];

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("fixed")]
    [InlineData("amortised-famo")]
    [InlineData("exact")]
    [InlineData("exact-features")]
    [InlineData("pcgrad")]
    public void Batches_in_parts_take_the_step_of_whole_ones(string method)
    {
        // Layer norm sees an image at a time, so only the order of additions differs. 25 images in parts of 8, 8 and 9.
        using var whole = new Rig(method, new TrainerOptions());
        using var parts = new Rig(method, new TrainerOptions { Accumulate = 3 });
        for (int i = 0; i < 3; i++)
        {
            StepReport a = whole.Trainer.Step(), b = parts.Trainer.Step();
            Assert.Equal(25, b.Images);
            for (int k = 0; k < 3; k++)
            {
                Assert.Equal(a.TradeOff.Losses[k], b.TradeOff.Losses[k], 2e-5 * a.TradeOff.Losses[k]);
                Assert.Equal(a.TradeOff.Pi[k], b.TradeOff.Pi[k], 1e-3);
            }

            Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-3 * a.GradientNorm);
        }

        float[] left = whole.Parameters, right = parts.Parameters;
        for (int i = 0; i < left.Length; i++)
            Assert.Equal(left[i], right[i], 1e-4f);
    }

    [Fact]
    public void The_Gram_matrix_of_parts_is_that_of_the_whole_batch_not_the_mean_of_theirs()
    {
        using var whole = new Rig("mgda", new TrainerOptions());
        using var parts = new Rig("mgda", new TrainerOptions { Accumulate = 5 });
        var (a, b) = (whole.Trainer.Step().TradeOff, parts.Trainer.Step().TradeOff);
        for (int k = 0; k < 3; k++)
        {
            Assert.Equal(a.NormRatio[k], b.NormRatio[k], 1e-4 * a.NormRatio[k]);
            Assert.Equal(a.Cosine(0, k), b.Cosine(0, k), 1e-4);
        }
    }

    [Fact]
    public void Clipping_each_comes_before_the_balancer_and_clipping_all_after_it()
    {
        const double Limit = 0.01;
        using var free = new Rig("fixed", new TrainerOptions { DiagnosticsEvery = 1 });
        using var each = new Rig("fixed", new TrainerOptions { ClipEach = Limit });
        var before = free.Trainer.Step();
        var after = each.Trainer.Step();
        // All three are longer than the limit here: what the balancer sees is of one length, but for the part that is not shared.
        Assert.All(before.TradeOff.NormRatio, ratio => Assert.True(ratio is > 1.01 or < 0.99 or 1));
        Assert.All(after.TradeOff.NormRatio, ratio => Assert.Equal(1, ratio, 0.01));
        Assert.InRange(after.GradientNorm, 1e-9, Limit);
        Assert.True(before.GradientNorm > Limit);

        using var mixed = new Rig("fixed", new TrainerOptions { ClipNorm = Limit, DiagnosticsEvery = 1 });
        Assert.Equal(before.TradeOff.NormRatio, mixed.Trainer.Step().TradeOff.NormRatio);
    }

    [Fact]
    public void Weights_from_features_mix_the_gradients_of_the_parameters()
    {
        // One backward pass through the weighted sum, and K passes with the same weights: the same step, up to rounding.
        using var once = new Rig("exact-features", new TrainerOptions());
        using var each = new Rig("exact-features", new TrainerOptions { DiagnosticsEvery = 1 });
        using var exact = new Rig("exact", new TrainerOptions());
        StepReport a = once.Trainer.Step(), b = each.Trainer.Step(), c = exact.Trainer.Step();
        Assert.Equal(a.TradeOff.Pi, b.TradeOff.Pi);
        Assert.False(a.TradeOff.HasGram);
        Assert.True(b.TradeOff.HasGram);
        float[] left = once.Parameters, right = each.Parameters;
        for (int i = 0; i < left.Length; i++)
            Assert.Equal(left[i], right[i], 1e-5f);
        // They are another trade-off than the exact rule's: the network's Jacobian is no rotation.
        Assert.Contains(Enumerable.Range(0, 3), k => Math.Abs(a.TradeOff.Pi[k] - c.TradeOff.Pi[k]) > 0.01);
    }

    [Fact]
    public void Clipping_each_clips_what_features_are_compared_by()
    {
        // A gradient of the parameters that is scaled belongs to one of the features that is scaled alike.
        Recorder before = new(), after = new();
        using var free = new Rig(before, new TrainerOptions { DiagnosticsEvery = 1 });
        using var each = new Rig(after, new TrainerOptions { ClipEach = 0.01 });
        double ratio = free.Trainer.Step().TradeOff.NormRatio[1];
        each.Trainer.Step();
        double Shrunk(int k) => Math.Sqrt(after.Gram[4 * k] / before.Gram[4 * k]);
        Assert.InRange(Shrunk(0), 1e-6, 0.9);
        Assert.Equal(ratio, Shrunk(0) / Shrunk(1), 1e-4 * ratio);
        Assert.Equal(before.Gram[1] * Shrunk(0) * Shrunk(1), after.Gram[1], 1e-4 * Math.Abs(after.Gram[1]));
    }

    [Theory]
    [InlineData("exact")]
    [InlineData("exact-features")]
    public void A_limit_that_no_gradient_reaches_changes_nothing(string method)
    {
        using var free = new Rig(method, new TrainerOptions { DiagnosticsEvery = 1 });
        using var each = new Rig(method, new TrainerOptions { ClipEach = 1e6 });
        free.Trainer.Step();
        each.Trainer.Step();
        Assert.Equal(free.Parameters, each.Parameters);
    }

    [Theory]
    [InlineData("famo", 1)]
    [InlineData("famo", 3)]
    [InlineData("amortised-famo", 1)]
    public void The_second_look_sees_the_same_masks_and_leaves_running_statistics(string method, int parts)
    {
        // Without a change of parameters the losses after the step are those before to the last bit, so nothing is learned. Half
        // of the branches are dropped at random: another mask would show.
        using var rig = new Rig(method, new TrainerOptions { Accumulate = parts }, rate: 0, dropPath: 0.5);
        for (int i = 0; i < 3; i++)
            rig.Trainer.Step();
        Assert.All(rig.Trainer.Balancer.SaveState()["logits"], logit => Assert.Equal(0, logit));
        using var looking = new Rig(method, new TrainerOptions { Accumulate = parts }, convolutional: true, rate: 0);
        using var plain = new Rig("fixed", new TrainerOptions { Accumulate = parts }, convolutional: true, rate: 0);
        looking.Trainer.Step();
        plain.Trainer.Step();
        Assert.NotEmpty(plain.Buffers);
        Assert.Equal(plain.Buffers, looking.Buffers);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_state_saved_and_loaded_goes_on_to_the_same_bytes(string method)
    {
        using var whole = new Rig(method, new TrainerOptions { ClipNorm = 1 });
        using var first = new Rig(method, new TrainerOptions { ClipNorm = 1 });
        using var second = new Rig(method, new TrainerOptions { ClipNorm = 1 });
        var totals = new EpochTotals(3);
        for (int i = 0; i < 5; i++)
            whole.Trainer.Step();
        for (int i = 0; i < 3; i++)
            first.Trainer.Step();
        TrainingState.Save(_temp["state"], first.Arena, first.Trainer, totals, best: 0);
        TrainingState.Load(_temp["state"], second.Arena, second.Trainer, new EpochTotals(3));
        for (int i = 0; i < 2; i++)
            second.Trainer.Step();
        TrainingState.Save(_temp["whole"], whole.Arena, whole.Trainer, totals, best: 0);
        TrainingState.Save(_temp["resumed"], second.Arena, second.Trainer, totals, best: 0);
        Assert.Equal(File.ReadAllBytes(_temp["whole"]), File.ReadAllBytes(_temp["resumed"]));
    }

    [Fact]
    public void A_state_whose_parameters_lie_otherwise_is_refused_and_changes_nothing()
    {
        using var attention = new Rig("fixed", new TrainerOptions());
        using var convolution = new Rig("fixed", new TrainerOptions(), convolutional: true);
        TrainingState.Save(_temp["state"], attention.Arena, attention.Trainer, new EpochTotals(3), best: 0);
        float[] before = convolution.Arena.Flat.ToArray<float>();
        var exception = Assert.Throws<InvalidDataException>(
            () => TrainingState.Load(_temp["state"], convolution.Arena, convolution.Trainer, new EpochTotals(3)));
        Assert.Contains("of another network, or of another version", exception.Message);
        Assert.Equal(before, convolution.Arena.Flat.ToArray<float>());
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_parameter_that_one_objective_reaches_gets_its_coefficient_times_its_gradient(string method)
    {
        // Plain gradient descent at rate 1 shows the mixed gradient. The bias "own" serves the third objective only, as a part of
        // a mean over the classes: the entries of its gradient sum to 1.
        using var rig = new Rig(method, new TrainerOptions { DiagnosticsEvery = 1 }, rate: 1);
        float[] before = rig.Own;
        var report = rig.Trainer.Step();
        double change = before.Zip(rig.Own, (a, b) => (double)a - b).Sum();
        Assert.Equal(report.TradeOff.Coefficients[2], change, 1e-4 * Math.Max(1, Math.Abs(change)));
    }

    /// <summary>A small network with three objectives on the digits, 25 images at a time.</summary>
    private sealed class Rig : IDisposable
    {
        private readonly CpuDevice _device = new(2);
        private readonly Sgd _optimiser;
        private readonly Parameter _own;

        public Rig(string method, TrainerOptions options, bool convolutional = false, double rate = 0.05, double dropPath = 0)
            : this(
                BalancerRegistry.Create(method, new BalancerOptions { Objectives = 3, Task = 0, Seed = 5 }),
                options,
                convolutional,
                rate,
                dropPath)
        {
        }

        public Rig(Balancer balancer, TrainerOptions options, bool convolutional = false, double rate = 0.05, double dropPath = 0)
        {
            var images = Digits.Load().Train;
            Arena = new ParameterArena(_device);
            var spec = new ImageSpec(images.Format.Channels, images.Format.Height, images.Format.Width, 10);
            VisionModel model = convolutional
                ? Zoo.Create("regnety_nano", Arena.Root, spec)
                : new DeiT(Arena.Root, spec, new DeiTConfig(4, 24, 2, 3, DropPath: dropPath) { Deviation = 0.1 });
            _own = Arena.Root["own"].Parameter("bias", [10], Init.Zeros);
            Arena.Seal(seed: 3);
            _optimiser = new Sgd(Arena, momentum: 0, weightDecay: 0);
            Trainer = new Trainer(
                _device,
                Arena,
                new ThreeObjectives(model, _own),
                balancer,
                _optimiser,
                new ConstantRate(rate),
                new BatchLoader(images, new BatchPlan(images.Count, 25, seed: 1, dropLast: true)),
                options with { Seed = 7 });
        }

        public ParameterArena Arena { get; }

        public Trainer Trainer { get; }

        public float[] Parameters => Arena.Flat.ToArray<float>();

        public float[] Own => _own.Value.ToArray<float>();

        public float[] Buffers =>
            [.. Arena.Buffers.Where(buffer => buffer.Value.DType == DType.F32).SelectMany(buffer => buffer.Value.ToArray<float>())];

        public void Dispose()
        {
            Trainer.Dispose();
            _optimiser.Dispose();
            Arena.Dispose();
            Assert.Equal(0, _device.Pool.LiveBytes);
            _device.Dispose();
        }
    }

    /// <summary>Even weights; what it was told is kept.</summary>
    private sealed class Recorder() : Balancer("recorder", 3)
    {
        public override BalancerNeeds Needs => BalancerNeeds.FeatureGram;

        public double[] Gram { get; private set; } = [];

        protected override void Decide(in StepSignals signals, StepWeights weights)
        {
            Gram = signals.Gram.ToArray();
            weights.Coefficients.Fill(1.0 / 3);
        }
    }

    private sealed class ConstantRate(double rate) : Schedule(rate, warmupSteps: 0)
    {
        protected override double RateAfterWarmup(long step) => BaseRate;
    }

    /// <summary>Cross-entropy, the mean square of the logits, and a loss with a head of its own.</summary>
    private sealed class ThreeObjectives(VisionModel model, Parameter own) : TrainingTask
    {
        public override IReadOnlyList<string> Objectives { get; } = ["task", "size", "own"];

        public override int Task => 0;

        public override TaskLosses Losses(Batch batch)
        {
            var output = model.Forward(batch.Images);
            var logits = output.Logits;
            var head = Op.Affine(Op.Mean(logits + own.Value), 1, 4);
            return new TaskLosses(
                [
                    Op.CrossEntropy(logits, batch.Labels),
                    Op.Mean(logits * logits),
                    Op.CrossEntropy(logits, batch.Labels, labelSmoothing: 0.5) + head,
                ],
                output.Representation);
        }
    }
}
