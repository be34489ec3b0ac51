using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests;

/// <summary>Indices out of range: the host learns of them when it next waits, with the text of the CPU.</summary>
public class IndexFaultTests
{
    private static GpuDevice Device => TestDevice.Gpu;

    [Fact]
    public void The_call_itself_does_not_wait_and_the_next_read_throws()
    {
        using var step = Step.Evaluation(Device);
        var index = step.From([0L, 2, 7, -1], [4]);
        long reads = Device.HostReads;
        var hot = Op.OneHot(index, 3);
        Assert.Equal(reads, Device.HostReads);
        string message = Assert.Throws<ArgumentException>(() => hot.ToArray<float>()).Message;
        Assert.Equal("one_hot: index 7 at position 2 is not in 0 .. 2", message);
        // It is said once; the rows of bad indices are left out.
        Assert.Equal([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], hot.ToArray<float>());
    }

    [Fact]
    public void Waiting_throws_too()
    {
        using var step = Step.Evaluation(Device);
        Op.OneHot(step.From([-5L], [1]), 3);
        Assert.Throws<ArgumentException>(Device.Synchronize);
        Device.Synchronize();
    }

    [Fact]
    public void The_first_operation_and_its_first_position_are_named()
    {
        using var step = Step.Evaluation(Device);
        long[] many = [.. Enumerable.Range(0, 1000).Select(i => i < 300 ? 1L : long.MinValue + i)];
        Op.OneHot(step.From([0L, 1], [2]), 2);
        Op.OneHot(step.From(many, [1000]), 5);
        Op.OneHot(step.From([9L], [1]), 4);
        string message = Assert.Throws<ArgumentException>(Device.Synchronize).Message;
        // What does not fit 32 bits is cut to them.
        Assert.Equal($"one_hot: index {int.MinValue} at position 300 is not in 0 .. 4", message);
    }

    [Fact]
    public void Good_indices_are_not_reported()
    {
        using var step = Step.Evaluation(Device);
        Assert.Equal([0, 1, 0, 0, 1, 0], Op.OneHot(step.From([1L, 1], [2]), 3, DType.I64).ToArray<long>());
        Assert.Equal([false, true], Op.OneHot(step.From([1L], []), 2, DType.Bool).ToArray<bool>());
    }
}
