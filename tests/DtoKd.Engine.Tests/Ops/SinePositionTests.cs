using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>The encoding of places by hand.</summary>
public sealed class SinePositionTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    [Fact]
    public void Places_are_shares_of_the_valid_part_of_a_row()
    {
        using var step = Step.Evaluation(_device);
        // Two valid places: pi and 2 pi; the padding after them stays at 2 pi.
        var mask = step.From([false, false, true, true], [1, 1, 4]);
        var waves = Op.SinePosition(mask, 2, eps: 0, dtype: DType.F64);
        Assert.Equal(new Shape(1, 4, 1, 4), waves.Shape);
        double[] x = Op.Slice(waves, 1, 2).ToDoubles(), expected = [0, 0, 0, 0, -1, 1, 1, 1];
        for (int i = 0; i < x.Length; i++)
            Assert.Equal(expected[i], x[i], 1e-12);
    }

    [Fact]
    public void A_map_of_padding_alone_is_finite()
    {
        using var step = Step.Evaluation(_device);
        var waves = Op.SinePosition(step.From([true, true], [1, 2, 1]), 4);
        Assert.All(waves.ToDoubles(), value => Assert.True(value is 0 or 1));
    }

    public void Dispose() => _device.Dispose();
}
