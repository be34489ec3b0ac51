using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models;

namespace DtoKd.Gpu.Tests;

/// <summary>A convolutional network as a whole: grouped, strided and 1 x 1 convolutions, norms, squeeze-excite, shortcuts.</summary>
public class RegNetYTests
{
    [Fact]
    public void Logits_gradients_and_evaluation_are_those_of_the_CPU()
    {
        using var cpu = new CpuDevice(1);
        var expected = Run(cpu);
        var actual = Run(TestDevice.Gpu);
        Assert.Equal(expected.Keys, actual.Keys);
        foreach (var (name, values) in expected)
        {
            double scale = values.Max(Math.Abs);
            for (int i = 0; i < values.Length; i++)
                Assert.True(Math.Abs(values[i] - actual[name][i]) <= (2e-4 * scale) + 1e-6, $"{name}[{i}]: {actual[name][i]:g9}, CPU {values[i]:g9}");
        }
    }

    private static Dictionary<string, double[]> Run(Device device)
    {
        using var arena = new ParameterArena(device);
        var network = new RegNetY(arena.Root, new ImageSpec(3, 5, 5, 3), new RegNetYConfig(8, [8, 16], [1, 1], 8) { StemStride = 1 });
        arena.Seal(seed: 1);
        // Weights that start at zero would hide what is behind them.
        arena.Flat.CopyFrom<float>(Array.ConvertAll(arena.Flat.ToArray<float>(), weight => weight + 0.05f));
        using var gradients = new GradStore(arena);
        var results = new Dictionary<string, double[]>();
        float[] pixels = [.. Enumerable.Range(0, 2 * 3 * 25).Select(i => MathF.Sin(1.3f * i))];
        using (var step = Step.Training(device))
        {
            var logits = network.Forward(step.From(pixels, [2, 3, 5, 5])).Logits;
            step.Tape.Backward(Op.Mean(Op.Square(logits + -1.0)), gradients);
            results["logits"] = logits.ToDoubles();
        }

        foreach (var parameter in arena.Parameters)
            results[parameter.Name] = gradients.Of(parameter).ToDoubles();
        using (var step = Step.Evaluation(device))
            results["evaluation"] = network.Forward(step.From(pixels, [2, 3, 5, 5])).Logits.ToDoubles();
        return results;
    }
}
