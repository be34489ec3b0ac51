using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

/// <summary>A pass without features computes only the heads' tokens in the last block; nothing but the cost may show it.</summary>
public sealed class DeiTTests : IDisposable
{
    private const int Images = 6;

    private readonly CpuDevice _device = new(2);

    public static TheoryData<string, double> Networks => new()
    {
        { "deit_micro", 0 },
        { "deit_micro", 0.6 },
        { "deit_micro_distilled", 0 },
        { "deit_micro_distilled", 1 },
        { "deit_tiny_vkd_patch16_224", 0.3 },
    };

    public void Dispose()
    {
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Logits_are_the_same_bytes_and_gradients_the_same_sums_as_of_a_pass_with_features(string name, double dropPath)
    {
        using var arena = new ParameterArena(_device);
        var model = Zoo.Create(name, arena.Root, new ImageSpec(3, 32, 32, 5), dropPath);
        arena.Seal(seed: 1);
        var (all, allGradients) = Pass(arena, model, withFeatures: true);
        var (first, firstGradients) = Pass(arena, model, withFeatures: false);
        Assert.Equal(all, first);
        foreach (var parameter in arena.Parameters)
        {
            float[] expected = allGradients[parameter.Index], actual = firstGradients[parameter.Index];
            double size = expected.Max(Math.Abs);
            for (int i = 0; i < expected.Length; i++)
                Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-5 * size, $"{parameter.Name}[{i}]: {actual[i]}, not {expected[i]}");
        }
    }

    [Theory]
    [InlineData("deit_micro", 1)]
    [InlineData("deit_micro_distilled", 2)]
    public void The_other_tokens_of_the_last_block_cost_a_key_and_a_value(string name, int heads)
    {
        using var arena = new ParameterArena(_device);
        var spec = new ImageSpec(3, 32, 32, 5);
        var model = Zoo.Create(name, arena.Root, spec);
        arena.Seal(seed: 1);
        long CostOf(bool withFeatures)
        {
            using var step = Step.Training(_device);
            model.Forward(step.Full([1, 3, 32, 32], 0.5), withFeatures);
            return step.Tape.MultiplyAdds;
        }

        var positions = arena.Parameters.Single(parameter => parameter.Name == "pos_embed").Shape;
        long tokens = positions[1], size = positions[2], others = tokens - heads;
        // A query, the projection, four times up and down; the scores with all keys, and their sums of values.
        Assert.Equal(others * (10 * size * size) + others * (2 * tokens * size), CostOf(true) - CostOf(false));
    }

    private (float[] Logits, float[][] Gradients) Pass(ParameterArena arena, VisionModel model, bool withFeatures)
    {
        using var step = Step.Training(_device, seed: 3, number: 2);
        var images = step.Empty([Images, 3, 32, 32]);
        new PhiloxStream(5, 0, 0).FillNormal(images.Span<float>());
        var output = model.Forward(images, withFeatures);
        using var store = new GradStore(arena);
        step.Tape.Backward(Op.Sum(Op.Square(output.Logits)) + Op.Sum(Op.Square(output.Prediction)), store);
        return (
            [.. output.Logits.ToArray<float>(), .. output.Prediction.ToArray<float>()],
            [.. arena.Parameters.Select(parameter => store.Of(parameter).ToArray<float>())]);
    }
}
