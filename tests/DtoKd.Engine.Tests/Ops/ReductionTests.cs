using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>Ties, NaN, zeros, empty axes and large means: where reductions differ from their textbook formula.</summary>
public sealed class ReductionTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void A_large_mean_costs_the_variance_no_digits()
    {
        // Integers about 2^23: the mean, 8388611.5 - 2 + ..., is no float, the deviations are exact.
        var values = new float[1000];
        for (int i = 0; i < values.Length; i++)
            values[i] = 8388608 + (i % 8);
        using var step = Step.Evaluation(_device);
        var x = step.From(values, [values.Length]);
        Assert.Equal(5.25, Op.Var(x, correction: 0).Item(), 1e-6);
        Assert.Equal(5.25 * 1000 / 999, Op.Var(x).Item(), 1e-6);
        Assert.Equal(Math.Sqrt(5.25), Op.Std(x, correction: 0).Item(), 1e-6);
    }

    [Fact]
    public void The_variance_of_one_element_is_NaN_when_unbiased_and_0_otherwise()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([3f], [1]);
        Assert.True(double.IsNaN(Op.Var(x).Item()));
        Assert.Equal(0, Op.Var(x, correction: 0).Item());
    }

    [Fact]
    public void The_gradients_of_norm_and_deviation_are_0_at_0()
    {
        foreach (double p in new[] { 1, 2 })
            Assert.Equal([0, 0, 0], Gradient(x => Op.Norm(x, p), 0, 0, 0));
        Assert.Equal([0, 0, 0], Gradient(x => Op.Std(x), 5, 5, 5));
    }

    [Fact]
    public void Equal_largest_elements_share_the_gradient()
    {
        Assert.Equal([0, 0.5, 0.5, 0], Gradient(x => Op.Amax(x), 1, 7, 7, 2));
        Assert.Equal([1.0 / 3, 1.0 / 3, 0, 1.0 / 3], Gradient(x => Op.Amin(x), 1, 1, 7, 1), (a, b) => Math.Abs(a - b) < 1e-7);
        Assert.Equal([0.5, -0.5, 0], Gradient(x => Op.Norm(x, double.PositiveInfinity), 3, -3, 1));
    }

    [Fact]
    public void The_first_of_equal_elements_has_the_index_and_the_whole_gradient()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([1f, 7f, 7f, 1f], [4]);
        Assert.Equal(1, Op.ArgMax(x).Item());
        Assert.Equal(0, Op.ArgMin(x).Item());
        Assert.Equal([1L], Op.Max(x, 0, keepAxis: true).Indices.ToArray<long>());
        Assert.Equal([0, 1, 0, 0], Gradient(v => Op.Max(v, 0).Values, 1, 7, 7, 2));
    }

    [Fact]
    public void NaN_wins_every_choice()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([1f, float.NaN, 9f, float.NaN], [4]);
        Assert.Equal(1, Op.ArgMax(x).Item());
        Assert.Equal(1, Op.ArgMin(x).Item());
        Assert.True(double.IsNaN(Op.Amax(x).Item()));
        Assert.True(double.IsNaN(Op.Amin(x).Item()));
        Assert.True(double.IsNaN(Op.Max(x, 0).Values.Item()));
    }

    [Fact]
    public void Indices_are_those_of_the_values()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([3f, 8f, 5f, 9f, 1f, 4f], [2, 3]);
        var (values, indices) = Op.Max(x, 0);
        Assert.Equal([9f, 8f, 5f], values.ToArray<float>());
        Assert.Equal([1L, 0L, 0L], indices.ToArray<long>());
        (values, indices) = Op.Min(x, -1, keepAxis: true);
        Assert.Equal(new Shape(2, 1), values.Shape);
        Assert.Equal([3f, 1f], values.ToArray<float>());
        Assert.Equal([0L, 1L], indices.ToArray<long>());
        Assert.Equal(3, Op.ArgMax(x).Item());
    }

    [Fact]
    public void Log_sum_exp_neither_overflows_nor_loses_infinities()
    {
        using var step = Step.Evaluation(_device);
        float inf = float.PositiveInfinity;
        var x = step.From([1e4f, 9999f, -1e4f, -inf, 0f, 1f, -inf, -inf, -inf, 1f, inf, 2f], [4, 3]);
        var y = Op.LogSumExp(x, [1]).ToDoubles();
        Assert.Equal(10000.3132617, y[0], 1e-3);
        Assert.Equal(1.3132617, y[1], 1e-6);
        Assert.Equal(double.NegativeInfinity, y[2]);
        Assert.Equal(double.PositiveInfinity, y[3]);
        Assert.Equal([0, 0, 0], Gradient(v => Op.LogSumExp(v), -inf, -inf, -inf));
        Assert.Equal([0, 0.5, 0.5], Gradient(v => Op.LogSumExp(v), -inf, 3, 3), (a, b) => Math.Abs(a - b) < 1e-6);
    }

    [Fact]
    public void The_gradient_of_a_product_is_right_beside_zeros()
    {
        Assert.Equal([0, 10, 0], Gradient(x => Op.Prod(x), 2, 0, 5));
        Assert.Equal([0, 0, 0], Gradient(x => Op.Prod(x), 2, 0, 0));
    }

    [Fact]
    public void Over_no_elements_each_reduction_gives_its_neutral_value()
    {
        using var step = Step.Evaluation(_device);
        var none = step.Zeros([2, 0]);
        Assert.Equal([1, 1], Op.Prod(none, [1]).ToDoubles());
        Assert.Equal([double.NegativeInfinity, double.NegativeInfinity], Op.LogSumExp(none, [1]).ToDoubles());
        Assert.Equal([0, 0], Op.Norm(none, 2, [1]).ToDoubles());
        Assert.All(Op.Mean(none, [1]).ToDoubles(), value => Assert.True(double.IsNaN(value)));
        var masks = step.Zeros([2, 0], DType.Bool);
        Assert.Equal([false, false], Op.Any(masks, [1]).ToArray<bool>());
        Assert.Equal([true, true], Op.All(masks, [1]).ToArray<bool>());
    }

    public void Dispose() => _device.Dispose();

    private double[] Gradient(Func<Tensor, Tensor> function, params float[] x)
    {
        using var step = Step.Recording(_device);
        using var store = new GradStore();
        var watched = step.Watch(step.From(x, [x.Length]));
        step.Tape.Backward(function(watched), store);
        return store.Of(watched)!.ToDoubles();
    }
}
