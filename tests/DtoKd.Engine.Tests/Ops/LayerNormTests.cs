using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class LayerNormTests
{
    [Fact]
    public void A_row_comes_out_with_mean_0_and_variance_1()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        // Mean 5, deviations -3, -1, 1, 3, variance 5.
        var y = Op.LayerNorm(step.From([2f, 4, 6, 8], [1, 4]), eps: 0).ToArray<float>();
        float unit = (float)(1 / Math.Sqrt(5));
        Assert.Equal([-3 * unit, -unit, unit, 3 * unit], y, (a, b) => Math.Abs(a - b) < 1e-6);
    }

    [Fact]
    public void A_large_mean_does_not_drown_a_small_variance()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        // 4096 + 0, 1, 2, ... are exact floats; mean of squares minus square of the mean would lose the variance.
        var x = Enumerable.Range(0, 64).Select(i => 4096f + (i % 4)).ToArray();
        var y = Op.LayerNorm(step.From(x, [1, 64]), eps: 0).ToArray<float>();
        Assert.Equal(-1.5 / Math.Sqrt(1.25), y[0], 1e-5);
        Assert.Equal(1.5 / Math.Sqrt(1.25), y[3], 1e-5);
    }

    [Fact]
    public void A_constant_row_becomes_the_bias()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var y = Op.LayerNorm(step.Full([2, 3], 7), step.Full([3], 5), step.From([1f, 2, 3], [3]));
        Assert.Equal([1f, 2, 3, 1, 2, 3], y.ToArray<float>());
    }
}
