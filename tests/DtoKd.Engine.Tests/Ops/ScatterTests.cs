using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class ScatterTests
{
    [Fact]
    public void The_last_of_several_writers_stays_and_alone_gets_the_gradient()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.From([1f, 2, 3], [3]));
        var source = step.Watch(step.From([10f, 20, 30], [3]));
        var y = Op.Scatter(x, 0, step.From([1L, 2, 1], [3]), source);
        Assert.Equal([1f, 30, 20], y.ToArray<float>());

        using var store = new GradStore();
        step.Tape.Backward(y, step.From([5f, 6, 7], [3]), store);
        Assert.Equal([5f, 0, 0], store.Of(x)!.ToArray<float>());
        Assert.Equal([0f, 7, 6], store.Of(source)!.ToArray<float>());
    }

    [Fact]
    public void Several_summands_of_one_place_are_added_in_order()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.Zeros([1, 1]);
        var source = step.From([1e8f, 1, -1e8f], [3, 1]);
        var index = step.From([0L, 0, 0], [3]);
        Assert.Equal([0f], Op.IndexAdd(x, 0, index, source).ToArray<float>());
        Assert.Equal([0f], Op.ScatterAdd(x, 0, Op.Reshape(index, [3, 1]), source).ToArray<float>());
    }
}
