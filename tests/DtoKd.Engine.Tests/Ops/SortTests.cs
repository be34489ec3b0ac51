using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>Order among equals, NaN and the indices of sorting; running products with zeros.</summary>
public sealed class SortTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void Equal_elements_keep_their_order_and_NaN_is_the_largest()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([2f, float.NaN, 1f, 2f, float.PositiveInfinity], [5]);
        var (values, indices) = Op.Sort(x, 0);
        Assert.Equal([1f, 2f, 2f, float.PositiveInfinity, float.NaN], values.ToArray<float>());
        Assert.Equal([2L, 0L, 3L, 4L, 1L], indices.ToArray<long>());
        Assert.Equal([1L, 4L, 0L, 3L, 2L], Op.Sort(x, 0, descending: true).Indices.ToArray<long>());
    }

    [Fact]
    public void The_k_largest_of_another_axis_come_with_their_indices()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([3f, 8f, 5f, 9f, 1f, 4f], [3, 2]);
        var (values, indices) = Op.TopK(x, 2, 0);
        Assert.Equal(new Shape(2, 2), values.Shape);
        Assert.Equal([5f, 9f, 3f, 8f], values.ToArray<float>());
        Assert.Equal([1L, 1L, 0L, 0L], indices.ToArray<long>());
        Assert.Equal([2L, 2L, 0L, 0L], Op.TopK(x, 2, 0, largest: false).Indices.ToArray<long>());
    }

    [Fact]
    public void The_gradient_of_a_running_product_is_right_beside_zeros()
    {
        using var step = Step.Recording(_device);
        var x = step.Watch(step.From([2f, 0f, 5f], [3]));
        using var store = new GradStore();
        var y = Op.CumProd(x, 0);
        step.Tape.Backward(y, step.From([1f, 1f, 1f], [3]), store);
        Assert.Equal([2, 0, 0], y.ToDoubles());
        // y = (x0, x0 x1, x0 x1 x2)
        Assert.Equal([1, 12, 0], store.Of(x)!.ToDoubles());
    }

    [Fact]
    public void Running_sums_keep_small_steps_on_a_large_start()
    {
        using var step = Step.Evaluation(_device);
        var x = step.From([16777216f, 1f, 1f, 1f, 1f], [5]);
        Assert.Equal(16777220, Op.CumSum(x, 0).ToDoubles()[4]);
    }

    public void Dispose() => _device.Dispose();
}
