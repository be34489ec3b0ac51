using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;
using ILGPU;

namespace DtoKd.Gpu.Tests;

public class DeviceTests
{
    private static GpuDevice Device => TestDevice.Gpu;

    [Fact]
    public void Without_a_driver_there_is_one_line_that_says_so()
    {
        var devices = GpuInfo.List(out string? problem);
        if (devices.Any(device => device.Problem is null))
            Assert.Skip("there is a CUDA device");
        string line = Assert.Throws<NotSupportedException>(() => GpuDevice.Cuda()).Message;
        Assert.StartsWith("cuda:0: ", line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
        Assert.Contains(problem ?? devices[0].Problem!, line, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_disposed_of_twice_is_given_back_once()
    {
        long before = Device.Pool.LiveBytes;
        foreach (IDisposable owner in (IDisposable[])[DeviceInput.Of(Device, 64), new Readings(Device), new UpdateScale(Device)])
        {
            Assert.NotEqual(before, Device.Pool.LiveBytes);
            owner.Dispose();
            owner.Dispose();
        }

        Assert.Equal(before, Device.Pool.LiveBytes);
        using var cpu = new CpuDevice();
        var input = DeviceInput.Of(cpu, 64);
        input.Dispose();
        input.Dispose();
        Assert.Equal(0, cpu.Pool.LiveBytes);
    }

    [Fact]
    public void Elements_travel_to_the_device_and_back()
    {
        using var step = Step.Evaluation(Device);
        float[] values = [1, 2, 3, 4, 5, 6];
        var x = step.From(values, [2, 3]);
        Assert.Equal(values, x.ToArray<float>());
        Assert.Equal([1, 4, 2, 5, 3, 6], Op.Transpose(x, 0, 1).ToArray<float>());
        Assert.Equal([3, 6], Op.Slice(x, 1, 2, 3).ToArray<float>());
        Assert.Equal(5, Op.Slice(Op.Slice(x, 0, 1, 2), 1, 1, 2).Item());
        Assert.Equal([true, false], step.From([true, false], [2]).ToArray<bool>());
        Assert.Equal(-7, step.From([-7L], []).Item());
        using (var room = x.OnHost<float>())
            room.Span.Fill(8);
        Assert.All(x.ToArray<float>(), value => Assert.Equal(8, value));
        x.CopyFrom<float>(values);
        Assert.Equal(values, x.ReadOnHost<float>().ToArray());
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    [InlineData(DType.I32)]
    [InlineData(DType.I64)]
    [InlineData(DType.Bool)]
    public void Tensors_are_filled_on_the_device(DType dtype)
    {
        using var step = Step.Evaluation(Device);
        var full = step.Full([3], 1, dtype);
        for (int i = 0; i < 3; i++)
            Assert.Equal(1, Op.Slice(full, 0, i, i + 1).Item());
        Assert.Equal(0, Op.Slice(step.Zeros([3], dtype), 0, 2, 3).Item());
    }

    [Theory]
    [InlineData(4)]
    [InlineData(10_001)]
    [InlineData(10_004)]
    public void A_large_block_is_copied_by_vectors_or_by_the_driver(int count)
    {
        using var step = Step.Evaluation(Device);
        float[] values = [.. Enumerable.Range(0, count).Select(i => (float)i)];
        var to = step.Zeros([count]);
        MachinePeak.Copy(Device, step.From(values, [count]), to);
        Assert.Equal(values, to.ToArray<float>());
    }

    [Fact]
    public void What_cannot_run_says_which_operation_and_where()
    {
        using var step = Step.Evaluation(Device);
        var x = step.From([1f, 2, 3], [3]);
        var inPlace = Assert.Throws<NotSupportedException>(() => x.Span<float>()[0] = 1);
        Assert.Contains($"on {TestDevice.Gpu.Name}", inPlace.Message, StringComparison.Ordinal);
        Assert.Contains("CopyFrom", inPlace.Message, StringComparison.Ordinal);
        var doubles = step.From([1.0, 2], [2]);
        string message = Assert.Throws<NotSupportedException>(() => Op.Exp(doubles)).Message;
        Assert.Contains("exp has no kernel", message, StringComparison.Ordinal);
        Assert.Contains("double precision runs on the CPU", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Inputs_on_two_devices_are_refused()
    {
        using var cpu = new CpuDevice(1);
        using var arena = new ParameterArena(cpu);
        var weight = arena.Root.Parameter("weight", [3], (values, _, _) => values.Fill(1));
        arena.Seal(0);
        using var step = Step.Evaluation(Device);
        var x = step.From([1f, 2, 3], [3]);
        Assert.Throws<NotSupportedException>(() => Op.Add(x, weight));
    }

    [Fact]
    public void Memory_is_reused_and_given_back()
    {
        using var device = GpuDevice.Emulated();
        using (var step = Step.Evaluation(device))
        {
            step.Zeros([1000]);
            step.Zeros([1000]);
            Assert.Equal(2, device.Pool.LiveBlocks);
        }

        long reserved = device.Pool.ReservedBytes;
        Assert.Equal(0, device.Pool.LiveBytes);
        using (var step = Step.Evaluation(device))
            step.Zeros([1000]);
        Assert.Equal(reserved, device.Pool.ReservedBytes);
        device.Pool.Trim();
        Assert.Equal(0, device.Pool.ReservedBytes);
    }

    [Fact]
    public void When_memory_runs_out_the_cache_goes_first_and_then_the_largest_owners_are_named()
    {
        using var device = GpuDevice.Emulated(memoryLimit: 1 << 20);
        using (var step = Step.Evaluation(device))
            step.Zeros([200_000]);
        using (var step = Step.Evaluation(device))
        {
            // The cached block of another size makes room.
            Op.Exp(step.Zeros([100_000]));
            var exception = Assert.Throws<InsufficientMemoryException>(() => step.Zeros([250_000]));
            Assert.Contains("most by exp 4", exception.Message, StringComparison.Ordinal);
            Assert.Contains("zeros 4", exception.Message, StringComparison.Ordinal);
            Assert.Contains("lower the batch size", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_tensor_whose_elements_a_kernel_cannot_count_is_refused_by_its_shape()
    {
        using var step = Step.Evaluation(Device);
        // Memory that nobody touches is only promised.
        var large = step.Empty([1 << 16, (1 << 15) - 1], DType.Bool);
        string message = Assert.Throws<NotSupportedException>(() => GpuDevice.View<byte>(large)).Message;
        Assert.Contains("[65536, 32767]", message, StringComparison.Ordinal);
        Assert.Contains("counts up to 2,130,706,431 elements", message, StringComparison.Ordinal);
        Assert.Equal((1 << 15) - 1, GpuDevice.View<byte>(Op.Slice(large, 0, 0, 1)).Length);
    }

    [Fact]
    public void Launches_are_counted_and_timed_by_operation_and_kernel()
    {
        using var device = GpuDevice.Emulated();
        using var step = Step.Evaluation(device);
        var x = step.From([1f, 2, 3], [3]);
        Op.Exp(x);
        device.Profile = new OpProfile();
        Op.Exp(x);
        Op.Exp(x);
        Assert.Equal(3, device.Launches);
        var entries = device.Profile.Entries.ToDictionary(entry => entry.Op);
        Assert.Equal(2, entries["exp: MapFlat<UnaryValue<ExpFormula>>"].Calls);
        Assert.Equal(2, entries["exp"].Calls);
        Assert.All(entries.Values, entry => Assert.True(entry.Time > TimeSpan.Zero));
    }

    [Fact]
    public void A_kernel_that_does_not_compile_is_named_and_later_ones_say_why_they_do_not_either()
    {
        using var device = GpuDevice.Emulated();
        string first = Assert.Throws<InvalidOperationException>(
            () => device.Launcher.Launch<Unlaunchable, Unlaunchable.Args>(1, 32, new() { X = default })).Message;
        Assert.Contains("kernel Unlaunchable cannot be compiled", first, StringComparison.Ordinal);
        using var step = Step.Evaluation(device);
        string second = Assert.Throws<InvalidOperationException>(() => Op.Exp(step.From([1f], [1]))).Message;
        Assert.Contains("because an earlier one failed: Unlaunchable", second, StringComparison.Ordinal);
    }

    /// <summary>Asks for larger groups than the device has, and cannot be made for them.</summary>
    internal readonly struct Unlaunchable : IKernel<Unlaunchable.Args>
    {
        public static int MaxGroupSize => 100_000;

        public static void Run(Args args) => args.X[0] = 1;

        internal struct Args
        {
            public ArrayView<float> X;
        }
    }
}
