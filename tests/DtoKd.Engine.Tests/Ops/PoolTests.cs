using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class PoolTests
{
    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void The_first_of_equal_maxima_gets_the_gradient(DType dtype)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.Full([1, 1, 2, 4], 7, dtype));
        var y = Op.MaxPool2d(x, 2);
        using var store = new GradStore();
        step.Tape.Backward(y, step.Full([1, 1, 1, 2], 3, dtype), store);
        Assert.Equal([3, 0, 3, 0, 0, 0, 0, 0], store.Of(x)!.ToDoubles());
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void NaN_wins_over_every_number_before_and_after_it(DType dtype)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        double[] values = [1, double.NaN, double.PositiveInfinity, 2, 5, 4, 3, 2];
        Shape shape = [1, 1, 2, 4];
        var x = step.Watch(
            dtype == DType.F64 ? step.From(values, shape) : step.From(Array.ConvertAll(values, v => (float)v), shape));
        var y = Op.MaxPool2d(x, (1, 4), (1, 4));
        Assert.Equal([double.NaN, 5], y.ToDoubles());
        using var store = new GradStore();
        step.Tape.Backward(y, step.Full([1, 1, 2, 1], 1, dtype), store);
        Assert.Equal([0, 1, 0, 0, 1, 0, 0, 0], store.Of(x)!.ToDoubles());
    }

    [Fact]
    public void Padding_never_wins_over_negative_pixels()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var y = Op.MaxPool2d(step.Full([1, 1, 3, 3], -2), 3, 1, 1);
        Assert.All(y.ToArray<float>(), value => Assert.Equal(-2, value));
    }

    [Fact]
    public void A_last_window_that_begins_in_the_padding_is_left_out()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        // Width 4, padding 1: windows of 2 begin at -1, 1 and 3; a fourth would begin at 5, behind the padding.
        var x = step.From([1f, 2, 3, 4], [1, 1, 1, 4]);
        Assert.Equal([1f, 3, 4], Op.MaxPool2d(x, (1, 2), (1, 2), (0, 1), ceilMode: true).ToArray<float>());
        // Width 4: windows of 3 begin at 0 and, rounding up, at 2.
        Assert.Equal([3f], Op.MaxPool2d(x, (1, 3), (1, 2)).ToArray<float>());
        Assert.Equal([3f, 4], Op.MaxPool2d(x, (1, 3), (1, 2), ceilMode: true).ToArray<float>());
    }

    [Fact]
    public void The_mean_counts_the_padding_only_if_asked_to_and_never_what_lies_beyond()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.From([6f, 12, 18, 24], [1, 1, 1, 4]);
        // Windows of 3 begin at -1, 1 and, rounding up, 3: the last has one pixel, one zero of the padding and nothing.
        Assert.Equal([6f, 18, 12], Op.AvgPool2d(x, (1, 3), (1, 2), (0, 1), ceilMode: true).ToArray<float>());
        Assert.Equal(
            [9f, 18, 24], Op.AvgPool2d(x, (1, 3), (1, 2), (0, 1), ceilMode: true, countIncludePad: false).ToArray<float>());
    }

    [Fact]
    public void Adaptive_windows_overlap_where_the_sizes_do_not_divide()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.From([1f, 2, 3, 4, 5], [1, 1, 1, 5]);
        // 5 to 3: [0, 2), [1, 4), [3, 5).
        Assert.Equal([1.5f, 3, 4.5f], Op.AdaptiveAvgPool2d(x, (1, 3)).ToArray<float>());
        Assert.Equal([2f, 4, 5], Op.AdaptiveMaxPool2d(x, (1, 3)).ToArray<float>());
    }

    [Fact]
    public void Pooling_to_one_pixel_is_the_mean_of_each_channel()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.From([1f, 2, 3, 4, 10, 20, 30, 40], [1, 2, 2, 2]);
        Assert.Equal([2.5f, 25], Op.AdaptiveAvgPool2d(x, 1).ToArray<float>());
        Assert.Equal([2.5f, 25], Op.GlobalAvgPool(x).ToArray<float>());
        Assert.Equal(new Shape(1, 2, 1, 1), Op.GlobalAvgPool(x, keepAxes: true).Shape);
    }
}
