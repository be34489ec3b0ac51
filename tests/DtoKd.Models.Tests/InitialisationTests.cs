using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

/// <summary>First values as timm, or the literature of the network, gives them; and drop path that grows with depth.</summary>
public sealed class InitialisationTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public static TheoryData<string, string, double> Deviations => new()
    {
        { "deit_tiny_patch16_224", "cls_token", 0.02 },
        { "deit_tiny_patch16_224", "pos_embed", 0.02 },
        { "deit_tiny_patch16_224", "blocks.11.attn.qkv.weight", 0.02 },
        { "deit_tiny_patch16_224", "blocks.0.mlp.fc2.weight", 0.02 },
        { "deit_tiny_patch16_224", "blocks.0.mlp.fc2.bias", 0 },
        { "deit_tiny_patch16_224", "head.weight", 0.02 },
        { "deit_tiny_distilled_patch16_224", "head_dist.weight", 0.02 },
        { "deit_tiny_vkd_patch16_224", "conv_embed.conv.3.weight", Math.Sqrt(2.0 / (64 * 9)) },
        { "deit_tiny_vkd_patch16_224", "conv_embed.proj.weight", Math.Sqrt(2.0 / (64 * 64)) },
        { "swin_nano_patch4_window7_224", "layers.2.blocks.5.attn.relative_position_bias_table", 0.02 },
        { "swin_nano_patch4_window7_224", "layers.3.downsample.reduction.weight", 0.02 },
        { "swin_nano_patch4_window7_224", "head.fc.weight", 0.02 },
        { "regnety_002", "s3.b1.conv1.conv.weight", Math.Sqrt(2.0 / 152) },
        { "regnety_002", "s4.b2.conv2.conv.weight", Math.Sqrt(2.0 / (8 * 9)) },
        { "regnety_002", "s4.b2.conv3.bn.weight", 0 },
        { "regnety_002", "head.fc.weight", 0.01 },
        { "resnet20", "layer3.0.conv1.weight", Math.Sqrt(2.0 / (64 * 9)) },
        { "shuffle_v2", "layer3.1.conv2.weight", Math.Sqrt(2.0 / (232 * 9)) },
        { "mobilenet_v2", "classifier.0.weight", 0.01 },
    };

    public void Dispose() => _device.Dispose();

    [Theory]
    [MemberData(nameof(Deviations))]
    public void First_values_deviate_from_zero_as_published(string network, string name, double deviation)
    {
        using var arena = new ParameterArena(_device);
        Zoo.Create(network, arena.Root, Zoo.Find(network).Native);
        arena.Seal(seed: 5);
        var values = arena.Parameters.Single(parameter => parameter.Name == name).Value.ToDoubles();
        double measured = Math.Sqrt(values.Sum(value => value * value) / values.Length);
        // Five deviations of the estimate: sqrt(1 / 2n) of the value each.
        Assert.InRange(measured, deviation * (1 - (5 / Math.Sqrt(2.0 * values.Length))), deviation * (1 + (5 / Math.Sqrt(2.0 * values.Length))));
    }

    public static TheoryData<string, Func<ParameterScope, ImageSpec, VisionModel>, string[]> Dropping => new()
    {
        {
            "DeiT",
            (scope, spec) => new DeiT(scope, spec, new DeiTConfig(8, 16, 3, 2, DropPath: 1)),
            ["blocks.0.mlp.fc2.bias", "blocks.1.mlp.fc2.bias", "blocks.2.mlp.fc2.bias"]
        },
        {
            "Swin",
            (scope, spec) => new Swin(scope, spec, new SwinConfig(4, 16, [1, 2], [2, 2], Window: 2, DropPath: 1)),
            ["layers.0.blocks.0.mlp.fc2.bias", "layers.1.blocks.0.mlp.fc2.bias", "layers.1.blocks.1.mlp.fc2.bias"]
        },
        {
            "RegNetY",
            (scope, spec) => new RegNetY(scope, spec, new RegNetYConfig(8, [8, 16], [2, 1], 8) { DropPath = 1, FirstStride = 1 }),
            ["s1.b1.conv3.bn.bias", "s1.b2.conv3.bn.bias", "s2.b1.conv3.bn.bias"]
        },
    };

    // With a share of 1 at the end, the first of three blocks is never skipped, the second half of the time, the last always.
    [Theory]
    [MemberData(nameof(Dropping))]
    public void Drop_path_grows_linearly_with_depth(
        string network, Func<ParameterScope, ImageSpec, VisionModel> create, string[] lastOfBranch)
    {
        const int Steps = 64;
        var spec = new ImageSpec(3, 16, 16, 5);
        using var arena = new ParameterArena(_device);
        var model = create(arena.Root, spec);
        arena.Seal(seed: 2);
        using var store = new GradStore(arena);
        var parameters = lastOfBranch.Select(name => arena.Parameters.Single(parameter => parameter.Name == name)).ToArray();
        int[] kept = new int[parameters.Length];
        for (int number = 0; number < Steps; number++)
        {
            using var step = Step.Training(_device, seed: 3, (ulong)number);
            var images = step.From([.. Enumerable.Range(0, 3 * 16 * 16).Select(i => (float)Math.Sin(i * i))], [1, 3, 16, 16]);
            var output = model.Forward(images);
            step.Tape.Backward(Op.CrossEntropy(output.Logits, step.From([1L], [1])), store);
            for (int i = 0; i < kept.Length; i++)
                kept[i] += store.Of(parameters[i]).ToDoubles().Any(value => value != 0) ? 1 : 0;
        }

        Assert.True(kept[0] == Steps, $"{network}: the first block was skipped in {Steps - kept[0]} of {Steps} steps");
        Assert.InRange(kept[1], Steps / 4, 3 * Steps / 4);
        Assert.Equal(0, kept[2]);
    }
}
