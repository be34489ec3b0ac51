using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Random masks: the same as on the CPU, bit for bit.</summary>
public class DropoutTests
{
    // Not a multiple of the four numbers that are drawn together, and more than the threads of a launch.
    private static readonly Shape _shape = [997, 5];

    [Theory]
    [InlineData(false, 0.25)]
    [InlineData(false, 0.9)]
    [InlineData(false, 1)]
    [InlineData(true, 0.25)]
    [InlineData(true, 0.9)]
    [InlineData(true, 1)]
    public void Values_and_gradients_are_those_of_the_CPU(bool path, double p)
    {
        using var cpu = new CpuDevice(1);
        var (values, gradient) = Run(cpu, path, p);
        var (actualValues, actualGradient) = Run(TestDevice.Gpu, path, p);
        Assert.Equal(values, actualValues);
        Assert.Equal(gradient, actualGradient);
    }

    [Fact]
    public void The_host_reads_nothing()
    {
        using var step = Step.Training(TestDevice.Gpu);
        var x = step.Full(_shape, 1);
        long reads = TestDevice.Gpu.HostReads;
        Op.DropPath(Op.Dropout(x, 0.5), 0.5);
        Assert.Equal(reads, TestDevice.Gpu.HostReads);
    }

    private static (float[] Values, float[] Gradient) Run(Device device, bool path, double p)
    {
        using var step = Step.Training(device, seed: 0x1234_5678_9ABC, number: (1L << 33) + 5);
        var x = step.Watch(step.From(Array.ConvertAll(Enumerable.Range(1, (int)_shape.Count).ToArray(), i => i / 7f), _shape));
        // The second of two: each has numbers of its own.
        Op.Dropout(x, 0.5);
        var y = path ? Op.DropPath(x, p) : Op.Dropout(x, p);
        using var store = new GradStore();
        step.Tape.Backward(y, step.Full(_shape, 3), store);
        return (y.ToArray<float>(), store.Of(x)!.ToArray<float>());
    }
}
