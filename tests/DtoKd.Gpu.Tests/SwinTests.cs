using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models;

namespace DtoKd.Gpu.Tests;

/// <summary>A Swin transformer of the smallest sizes, with a shifted block, merged patches and a map that windows do not tile.</summary>
public class SwinTests
{
    private const int Classes = 3, Height = 8, Width = 12;

    private static readonly SwinConfig _config = new(PatchSize: 2, Size: 4, Depths: [2, 1], Heads: [1, 2], Window: 2);

    [Fact]
    public void Loss_and_gradients_are_those_of_the_CPU()
    {
        using var cpu = new CpuDevice(1);
        var (expected, expectedGradients) = Learn(cpu);
        var (loss, gradients) = Learn(TestDevice.Gpu);
        Assert.Equal(expected, loss, 1e-5 * Math.Abs(expected));
        foreach (var (name, values) in expectedGradients)
        {
            float largest = values.Max(MathF.Abs);
            Assert.True(largest > 0, name);
            for (int i = 0; i < values.Length; i++)
                Assert.True(MathF.Abs(values[i] - gradients[name][i]) <= 1e-4f * largest, $"{name}[{i}]: {gradients[name][i]}, CPU {values[i]}");
        }

        Assert.Equal(0, TestDevice.Gpu.Pool.LiveBytes);
    }

    private static (double Loss, Dictionary<string, float[]> Gradients) Learn(Device device)
    {
        using var arena = new ParameterArena(device);
        var model = new Swin(arena.Root, new ImageSpec(3, Height, Width, Classes), _config);
        arena.Seal(seed: 3);
        using var store = new GradStore(arena);
        using var step = Step.Training(device);
        var images = step.From(
            Array.ConvertAll(Enumerable.Range(0, 3 * Height * Width).ToArray(), i => 2 * MathF.Sin(0.7f * i)), [1, 3, Height, Width]);
        var loss = Op.CrossEntropy(model.Forward(images).Logits, step.From([2L], [1]));
        step.Tape.Backward(loss, store);
        return (loss.Item(), arena.Parameters.ToDictionary(parameter => parameter.Name, parameter => store.Of(parameter).ToArray<float>()));
    }
}
