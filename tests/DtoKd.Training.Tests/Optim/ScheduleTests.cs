using System.Text.Json;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Optim;

public class ScheduleTests
{
    public static TheoryData<string> Schedules => [.. OptimiserFixture.Entries("schedules").Keys];

    [Fact]
    [Trait("Category", "Fixtures")]
    public void Counts() => Console.WriteLine($"schedules: all {OptimiserFixture.Entries("schedules").Count} run; missing none");

    [Theory]
    [Trait("Category", "Fixtures")]
    [MemberData(nameof(Schedules))]
    public void Equals_the_golden_rates(string id)
    {
        var entry = OptimiserFixture.Entries("schedules")[id];
        var values = entry.GetProperty("values").Deserialize<double[]>()!;
        var schedule = Make(entry.GetProperty("kind").GetString()!, entry.GetProperty("attrs"));
        // PyTorch's closed form rises again after T_max, where ours stays at the floor.
        int last = entry.GetProperty("attrs").TryGetProperty("T_max", out var end) ? end.GetInt32() : values.Length - 1;
        for (int t = 0; t <= last; t++)
            Assert.Equal(values[t], schedule.RateAt(t), 1e-12 * values.Max());
    }

    [Fact]
    public void The_warm_up_reaches_the_base_rate_at_its_last_step_and_the_cosine_the_floor_at_the_end()
    {
        var schedule = new CosineSchedule(0.8, totalSteps: 14, warmupSteps: 4, finalRate: 0.2);
        double[] beginning = [0.2, 0.4, 0.6, 0.8, 0.8];
        for (int t = 0; t < beginning.Length; t++)
            Assert.Equal(beginning[t], schedule.RateAt(t), 1e-15);
        Assert.Equal(0.5, schedule.RateAt(9), 1e-15);
        Assert.Equal(0.2, schedule.RateAt(14), 1e-15);
        Assert.Equal(0.2, schedule.RateAt(1000), 1e-15);
    }

    [Fact]
    public void A_step_schedule_needs_an_interval() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new StepSchedule(0.1, interval: 0, factor: 0.5));

    private static Schedule Make(string kind, JsonElement attributes)
    {
        double first = attributes.Number("base");
        int warmup = (int)attributes.Number("warmup_t");
        double? warmupRate = warmup > 0 ? attributes.Number("warmup_lr") : null;
        switch (kind)
        {
            case "timm_cosine":
                int cosine = (int)attributes.Number("t_initial");
                bool after = attributes.Flag("prefix");
                // timm's t_initial is the length of the cosine, with the warm-up before it or over its beginning.
                return new CosineSchedule(first, after ? cosine + warmup : cosine, warmup, attributes.Number("lr_min"))
                {
                    WarmupRate = warmupRate,
                    CosineAfterWarmup = after,
                    Cycles = (int)attributes.Number("limit", 1),
                    CycleGrowth = attributes.Number("mul", 1),
                    CycleDecay = attributes.Number("decay", 1),
                    Exponent = attributes.Number("k", 1),
                };
            case "timm_step":
                return new StepSchedule(first, (int)attributes.Number("decay_t"), attributes.Number("decay_rate"), warmup)
                {
                    WarmupRate = warmupRate,
                };
            case "torch_multistep":
                var milestones = attributes.GetProperty("milestones").Deserialize<long[]>()!;
                return new MultiStepSchedule(first, milestones, attributes.Number("gamma"));
            case "torch_cosine_annealing":
                return new CosineSchedule(first, (int)attributes.Number("T_max"), finalRate: attributes.Number("eta_min"));
            case "linear_warmup":
                int steps = (int)attributes.Number("warmup_steps");
                return new CosineSchedule(first, totalSteps: steps, steps, finalRate: first);
            default:
                throw new InvalidDataException($"no schedule here is {kind}");
        }
    }
}
