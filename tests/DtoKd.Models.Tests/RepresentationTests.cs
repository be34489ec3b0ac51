using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

public sealed class RepresentationTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    // One network of each class, and of each path through it.
    public static TheoryData<string> Families =>
    [
        "deit_micro", "deit_micro_distilled", "deit_tiny_vkd_patch16_224", "swin_micro", "regnety_nano", "resnet8x4", "wrn_16_2",
        "mobilenet_v2", "shuffle_v1", "shuffle_v2",
    ];

    public void Dispose()
    {
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void No_path_leads_from_the_images_to_logits_or_features_around_the_representation(string name)
    {
        using var arena = new ParameterArena(_device);
        var model = Zoo.Create(name, arena.Root, new ImageSpec(3, 32, 32, 5));
        arena.Seal(seed: 1);
        foreach (bool withFeatures in new[] { true, false })
        {
            using var step = Step.Training(_device);
            var images = step.Empty([2, 3, 32, 32]);
            step.NextRandom().FillNormal(images.Span<float>());
            images = step.Watch(images);
            var output = model.Forward(images, withFeatures);
            var loss = Op.Sum(Op.Square(output.Prediction));
            foreach (var feature in output.Features)
                loss += Op.Sum(Op.Square(feature));
            var gradients = step.Tape.GradientsAt(loss, [images, .. output.Representation]);
            Assert.Null(gradients[0]);
            Assert.Equal(output.Representation[^1].Shape, gradients[^1]!.Shape);
            Assert.NotNull(step.Tape.GradientsAt(loss, [images])[0]);
            Assert.True(!withFeatures || output.Representation.Count >= output.Features.Count);
        }
    }
}
