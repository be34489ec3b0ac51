using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Optim;

public class WeightAverageTests
{
    private static readonly int[] _kept = [1, 2, 3, 5, 10, 25, 50];

    public static TheoryData<string, DType> Averages
    {
        get
        {
            var data = new TheoryData<string, DType>();
            foreach (string id in OptimiserFixture.Entries("ema").Keys)
            {
                data.Add(id, DType.F32);
                data.Add(id, DType.F64);
            }

            return data;
        }
    }

    [Theory]
    [Trait("Category", "Fixtures")]
    [MemberData(nameof(Averages))]
    public void The_average_along_AdamW_equals_the_golden_one(string id, DType dtype)
    {
        var entry = OptimiserFixture.Entries("ema")[id];
        using var device = new CpuDevice(2);
        using var arena = OptimiserFixture.NewArena(device, dtype, _ => true);
        using var optimiser = new AdamW(arena, entry.Number("weight_decay"));
        using var average = new WeightAverage(arena, entry.Number("decay"));
        using var gradient = arena.NewFlat("gradients");
        for (int t = 0; t < _kept[^1]; t++)
        {
            OptimiserFixture.Step(optimiser, arena, gradient, t, clip: null, entry.Number("lr"));
            average.Update();
            if (!_kept.Contains(t + 1))
                continue;
            var values = average.Value.ToDoubles();
            foreach (var parameter in arena.Parameters)
            {
                var mean = values.AsSpan((int)parameter.Offset, (int)parameter.Shape.Count).ToArray();
                OptimiserFixture.AssertClose($"{id}.{t + 1}.{parameter.Name}", dtype, entry.Number("tol"), mean);
            }
        }
    }

    [Fact]
    public void An_average_rests_where_the_parameters_rest()
    {
        using var device = new CpuDevice(2);
        using var arena = OptimiserFixture.NewArena(device, DType.F32, _ => true);
        using var average = new WeightAverage(arena, 0.9999);
        for (int t = 0; t < 100; t++)
            average.Update();
        Assert.Equal(arena.Flat.ToArray<float>(), average.Value.ToArray<float>());
    }

    [Fact]
    public void With_warm_up_the_first_step_keeps_two_elevenths()
    {
        using var device = new CpuDevice(2);
        using var arena = OptimiserFixture.NewArena(device, DType.F64, _ => true);
        double before = arena.Flat.ToDoubles()[0];
        using var average = new WeightAverage(arena, 0.9999, warmsUp: true);
        arena.Flat.Span<double>().Fill(1);
        average.Update();
        Assert.Equal(1 + ((before - 1) * 2 / 11), average.Value.ToDoubles()[0], 1e-15);
        average.Steps = 1_000_000;
        arena.Flat.Span<double>().Fill(2);
        double then = average.Value.ToDoubles()[0];
        average.Update();
        Assert.Equal(2 + ((then - 2) * 0.9999), average.Value.ToDoubles()[0], 1e-15);
    }

    [Fact]
    public void A_decay_outside_0_to_1_is_refused()
    {
        using var device = new CpuDevice(1);
        using var arena = OptimiserFixture.NewArena(device, DType.F32, _ => true);
        Assert.Throws<ArgumentOutOfRangeException>(() => new WeightAverage(arena, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new WeightAverage(arena, double.NaN));
    }
}
