using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Gpu.Tests;

/// <summary>Parameters, tapes, gradient stores and checkpoints with everything on the device.</summary>
public class TrainingStepTests
{
    [Fact]
    public void Steps_of_two_objectives_give_the_losses_of_the_CPU()
    {
        using var cpu = new CpuDevice(1);
        var expected = Train(cpu, steps: 3);
        var actual = Train(TestDevice.Gpu, steps: 3);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-5 * Math.Abs(expected[i]));
        Assert.Equal(0, TestDevice.Gpu.Pool.LiveBytes);
    }

    [Fact]
    public void The_same_steps_give_the_same_bits() =>
        Assert.Equal(Train(TestDevice.Gpu, steps: 2), Train(TestDevice.Gpu, steps: 2));

    [Fact]
    public void A_checkpoint_of_the_device_is_that_of_the_CPU_and_loads_there()
    {
        using var folder = new TemporaryFolder();
        using var cpu = new CpuDevice(1);
        using var network = new Network(cpu);
        using var onDevice = new Network(TestDevice.Gpu);
        var none = new Dictionary<string, string>();
        ModelFile.Save(folder["cpu.safetensors"], network.Arena, none);
        ModelFile.Save(folder["gpu.safetensors"], onDevice.Arena, none);
        Assert.Equal(File.ReadAllBytes(folder["cpu.safetensors"]), File.ReadAllBytes(folder["gpu.safetensors"]));
        onDevice.Arena.Flat.CopyFrom<float>(new float[onDevice.Arena.FlatLength]);
        ModelFile.Load(folder["cpu.safetensors"], onDevice.Arena);
        Assert.Equal(network.Arena.Flat.ToArray<float>(), onDevice.Arena.Flat.ToArray<float>());
    }

    private static double[] Train(Device device, int steps)
    {
        using var network = new Network(device);
        using GradStore task = new(network.Arena), hint = new(network.Arena);
        using Tensor first = network.Arena.NewFlat("m"), second = network.Arena.NewFlat("v");
        FlatRange all = new(0, network.Arena.FlatLength);
        var numbers = new List<double>();
        for (int number = 1; number <= steps; number++)
        {
            using var step = Step.Training(device);
            var x = step.From(Array.ConvertAll(Enumerable.Range(0, 15).ToArray(), i => MathF.Sin(i + number)), [5, 3]);
            var (features, y) = network.Forward(x);
            var loss = Op.Mean(Op.Square(y + -0.5));
            var hinted = Op.Mean(Op.Abs(features));
            step.Tape.Backward(loss, task, retain: true);
            step.Tape.Backward(hinted, hint);
            var gram = new double[4];
            Flat.Gram([task.Flat, hint.Flat], [all], gram);
            numbers.AddRange([loss.Item(), hinted.Item(), .. gram, Flat.Mix([task.Flat, hint.Flat], [0.75, 0.25], task.Flat)]);
            Flat.Adam(network.Arena.Flat, task.Flat, 1, first, second, null, all, new AdamStep(0.01, 0.9, 0.999, 1e-8, 0.01, number));
        }

        return [.. numbers];
    }

    private sealed class Network : IDisposable
    {
        private readonly Parameter _inner, _innerBias, _outer;

        public Network(Device device)
        {
            Arena = new ParameterArena(device);
            _inner = Arena.Root.Parameter("inner.weight", [4, 3], Uneven);
            _innerBias = Arena.Root.Parameter("inner.bias", [4], Uneven);
            _outer = Arena.Root.Parameter("outer.weight", [2, 4], Uneven);
            Arena.Root.Buffer("scale", [2], 1.5);
            Arena.Seal(seed: 1);
        }

        public ParameterArena Arena { get; }

        public (Tensor Features, Tensor Result) Forward(Tensor x)
        {
            var features = Op.Gelu(Op.Linear(x, _inner, _innerBias));
            return (features, Op.Linear(features, _outer) * Arena.Buffers[0].Value);
        }

        public void Dispose() => Arena.Dispose();

        private static void Uneven(Span<float> values, Shape shape, PhiloxStream random) => random.FillNormal(values);
    }
}
