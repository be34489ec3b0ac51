using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Optim;

/// <summary>Fifty steps of every optimiser against PyTorch's.</summary>
[Trait("Category", "Fixtures")]
public class OptimiserFixtureTests
{
    public static TheoryData<string, DType> Runs
    {
        get
        {
            var data = new TheoryData<string, DType>();
            foreach (string id in OptimiserFixture.Entries("cases").Keys)
            {
                data.Add(id, DType.F32);
                data.Add(id, DType.F64);
            }

            return data;
        }
    }

    [Fact]
    public void Counts() =>
        Console.WriteLine($"optimisers: all {OptimiserFixture.Entries("cases").Count} trajectories run, in F32 and F64; missing none");

    [Theory]
    [MemberData(nameof(Runs))]
    public void Fifty_steps_equal_PyTorch(string id, DType dtype)
    {
        var entry = OptimiserFixture.Entries("cases")[id];
        string[] undecayed = entry.TryGetProperty("no_decay", out var names) ? names.Deserialize<string[]>()! : [];
        double[]? rates = entry.TryGetProperty("lr_per_step", out var list) ? list.Deserialize<double[]>() : null;
        double? clip = entry.TryGetProperty("clip_grad_norm", out var norm) ? norm.GetDouble() : null;
        double? limit = entry.TryGetProperty("clip_grad_value", out var value) ? value.GetDouble() : null;
        var kept = entry.GetProperty("steps_kept").Deserialize<int[]>()!;
        double[]? norms = clip is null ? null : OptimiserFixture.Tensor($"{id}.total_norm");

        using var device = new CpuDevice(2);
        using var arena = OptimiserFixture.NewArena(device, dtype, name => !undecayed.Contains(name));
        using var optimiser = Make(entry, arena);
        using var gradient = arena.NewFlat("gradients");
        for (int t = 0; t < kept.Max(); t++)
        {
            double total = OptimiserFixture.Step(optimiser, arena, gradient, t, clip, rates?[t] ?? entry.Number("lr"), limit);
            if (norms is not null)
                Assert.Equal(norms[t], total, 1e-7 * norms[t]);
            if (!kept.Contains(t + 1))
                continue;
            foreach (var parameter in arena.Parameters)
            {
                double tolerance = entry.GetProperty("tol").GetProperty($"{t + 1}.{parameter.Name}").GetDouble();
                OptimiserFixture.AssertClose($"{id}.{t + 1}.{parameter.Name}", dtype, tolerance, parameter.Value.ToDoubles());
            }
        }
    }

    [Fact]
    public void Without_momentum_nothing_is_dampened()
    {
        using var device = new CpuDevice(2);
        Assert.Equal(TwoSteps(device, 0), TwoSteps(device, 0.5));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    public void Gradients_are_clipped_to_a_positive_magnitude_only(double limit)
    {
        using var device = new CpuDevice(1);
        using var arena = OptimiserFixture.NewArena(device, DType.F32, _ => true);
        Assert.Throws<ArgumentOutOfRangeException>(() => GradientClip.Values(arena.Flat, limit));
    }

    private static float[] TwoSteps(CpuDevice device, double dampening)
    {
        using var arena = OptimiserFixture.NewArena(device, DType.F32, _ => true);
        using var optimiser = new Sgd(arena, momentum: 0, weightDecay: 0) { Dampening = dampening };
        using var gradient = arena.NewFlat("gradients");
        for (int t = 0; t < 2; t++)
            OptimiserFixture.Step(optimiser, arena, gradient, t, clip: null, rate: 0.1);
        return arena.Flat.ToArray<float>();
    }

    private static Optimiser Make(JsonElement entry, ParameterArena arena)
    {
        double decay = entry.Number("weight_decay"), momentum = entry.Number("momentum");
        double[] betas = entry.TryGetProperty("betas", out var list) ? list.Deserialize<double[]>()! : [];
        switch (entry.GetProperty("optimizer").GetString())
        {
            case "sgd":
                return new Sgd(arena, momentum, decay, entry.Flag("nesterov")) { Dampening = entry.Number("dampening") };
            case "adam":
                return new Adam(arena, decay, entry.Flag("amsgrad"))
                {
                    Beta1 = betas[0],
                    Beta2 = betas[1],
                    Epsilon = entry.Number("eps"),
                };
            case "adamw":
                Assert.Equal([0.9, 0.999], betas);
                Assert.Equal(1e-8, entry.Number("eps"));
                return new AdamW(arena, decay);
            case "lion":
                Assert.Equal([0.9, 0.99], betas);
                return new Lion(arena, decay);
            case "rmsprop":
                return new RmsProp(arena, momentum, decay) { Alpha = entry.Number("alpha"), Epsilon = entry.Number("eps") };
            case "adagrad":
                Assert.Equal(1e-10, entry.Number("eps"));
                return new Adagrad(arena, decay);
            case var other:
                throw new InvalidDataException($"no optimiser here is {other}");
        }
    }
}
