using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class SoftmaxTests
{
    private const float Inf = float.PositiveInfinity;

    [Fact]
    public void Powers_of_two_in_give_exact_shares_out()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        float ln2 = MathF.Log(2);
        var y = Op.Softmax(step.From([0f, ln2, 2 * ln2], [3])).ToArray<float>();
        Assert.Equal([1f / 7, 2f / 7, 4f / 7], y, (a, b) => Math.Abs(a - b) < 1e-7);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Logits_of_a_thousand_neither_overflow_nor_vanish(int axis)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = Op.Reshape(step.From([1000f, 999, -1000], [3]), axis == 0 ? [3, 1] : [1, 3]);
        double p = 1 / (1 + Math.Exp(-1));
        Assert.Equal([p, 1 - p, 0], Op.Softmax(x, axis).ToDoubles(), (a, b) => Math.Abs(a - b) < 1e-6);
        double[] logs = [Math.Log(p), Math.Log(p) - 1, Math.Log(p) - 2000];
        Assert.Equal(logs, Op.LogSoftmax(x, axis).ToDoubles(), (a, b) => Math.Abs(a - b) < 1e-4);
    }

    [Theory]
    [InlineData(SimdLevel.Portable)]
    [InlineData(SimdLevel.Avx2)]
    [InlineData(SimdLevel.Avx512)]
    public void Minus_infinity_is_impossible_and_nothing_else_is_NaN(SimdLevel simd)
    {
        using var device = new CpuDevice(1, simd);
        using var step = Step.Evaluation(device);
        var x = step.From([-Inf, 0, -Inf, -Inf, -Inf, -Inf, float.NaN, 0, 0], [3, 3]);
        float nan = float.NaN;
        Assert.Equal([0f, 1, 0, nan, nan, nan, nan, nan, nan], Op.Softmax(x).ToArray<float>());
        Assert.Equal([-Inf, 0, -Inf, nan, nan, nan, nan, nan, nan], Op.LogSoftmax(x).ToArray<float>());
        var turned = Op.Transpose(x, 0, 1);
        Assert.Equal([0f, nan, nan, 1, nan, nan, 0, nan, nan], Op.Softmax(turned, 0).ToArray<float>());
    }
}
