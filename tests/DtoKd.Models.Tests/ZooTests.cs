using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

public sealed class ZooTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public static TheoryData<string, int, int> Small
    {
        get
        {
            var data = new TheoryData<string, int, int>();
            foreach (var entry in Zoo.Entries.Where(entry => entry.Name.Contains("micro") || entry.Name.Contains("nano") && !entry.Name.Contains("224")))
            {
                data.Add(entry.Name, 1, 8);
                data.Add(entry.Name, 1, 28);
                data.Add(entry.Name, 3, 32);
            }

            return data;
        }
    }

    public void Dispose() => _device.Dispose();

    // Published counts: for 1000 classes at 224 pixels, and for CIFAR-100 as its literature rounds them.
    [Theory]
    [InlineData("deit_tiny_patch16_224", 5_717_416)]
    [InlineData("deit_tiny_distilled_patch16_224", 5_910_800)]
    [InlineData("deit_small_patch16_224", 22_050_664)]
    [InlineData("deit_small_distilled_patch16_224", 22_436_432)]
    [InlineData("deit_base_patch16_224", 86_567_656)]
    [InlineData("deit_base_distilled_patch16_224", 87_338_192)]
    [InlineData("deit_tiny_vkd_patch16_224", 6_633_104)]
    [InlineData("deit_small_vkd_patch16_224", 23_797_520)]
    [InlineData("swin_nano_patch4_window7_224", 7_299_634)]
    [InlineData("swin_tiny_patch4_window7_224", 28_288_354)]
    [InlineData("swin_small_patch4_window7_224", 49_606_258)]
    [InlineData("swin_base_patch4_window7_224", 87_768_224)]
    [InlineData("regnety_002", 3_162_996)]
    [InlineData("regnety_004", 4_344_144)]
    [InlineData("regnety_006", 6_055_160)]
    [InlineData("regnety_008", 6_263_168)]
    [InlineData("regnety_016", 11_202_430)]
    [InlineData("regnety_032", 19_436_338)]
    [InlineData("regnety_040", 20_646_656)]
    [InlineData("regnety_064", 30_583_252)]
    [InlineData("regnety_080", 39_180_068)]
    [InlineData("regnety_120", 51_822_544)]
    [InlineData("regnety_160", 83_590_140)]
    [InlineData("regnety_320", 145_046_770)]
    [InlineData("resnet20", 280_000, 10_000)]
    [InlineData("resnet32", 470_000, 10_000)]
    [InlineData("resnet56", 860_000, 10_000)]
    [InlineData("resnet110", 1_740_000, 10_000)]
    [InlineData("resnet8x4", 1_230_000, 10_000)]
    [InlineData("resnet32x4", 7_430_000, 10_000)]
    [InlineData("resnet50", 23_710_000, 10_000)]
    [InlineData("wrn_16_2", 700_000, 10_000)]
    [InlineData("wrn_40_1", 570_000, 10_000)]
    [InlineData("wrn_40_2", 2_260_000, 10_000)]
    [InlineData("mobilenet_v2", 810_000, 10_000)]
    [InlineData("shuffle_v1", 950_000, 10_000)]
    [InlineData("shuffle_v2", 1_360_000, 10_000)]
    public void Published_networks_have_their_published_number_of_parameters(string name, long count, long rounded = 1)
    {
        using var arena = new ParameterArena(_device);
        Zoo.Create(name, arena.Root, Zoo.Find(name).Native);
        Assert.Equal(count, (arena.ParameterCount + (rounded / 2)) / rounded * rounded);
    }

    [Theory]
    [MemberData(nameof(Small))]
    public void Small_networks_take_the_sizes_of_the_built_in_data_sets(string name, int channels, int side)
    {
        using var arena = new ParameterArena(_device);
        var model = Zoo.Create(name, arena.Root, new ImageSpec(channels, side, side, 10));
        arena.Seal(seed: 1);
        using var step = Step.Training(_device);
        var output = model.Forward(step.Full([4, channels, side, side], 0.5), withFeatures: true);
        Assert.Equal(new Shape(4, 10), output.Prediction.Shape);
        Assert.Equal(
            model.Features.Select(feature => new Shape(4, feature.Channels, feature.Height, feature.Width)),
            output.Features.Select(feature => feature.Shape));
    }

    public static TheoryData<string> Cifar =>
        [.. Zoo.Entries.Where(entry => entry.Native is { Height: 32, Classes: 100 }).Select(entry => entry.Name)];

    [Theory]
    [MemberData(nameof(Cifar))]
    public void Networks_for_CIFAR_take_other_images_too(string name)
    {
        using var arena = new ParameterArena(_device);
        var model = Zoo.Create(name, arena.Root, new ImageSpec(1, 28, 20, 7));
        arena.Seal(seed: 1);
        using var step = Step.Evaluation(_device);
        var output = model.Forward(step.Full([1, 1, 28, 20], 0.5), withFeatures: true);
        Assert.Equal(new Shape(1, 7), output.Logits.Shape);
        Assert.Equal(
            model.Features.Select(feature => new Shape(1, feature.Channels, feature.Height, feature.Width)),
            output.Features.Select(feature => feature.Shape));
    }

    [Fact]
    public void Stochastic_depth_is_the_recipes_or_what_is_asked_for_and_refused_where_there_is_none()
    {
        Assert.Equal(0.1, Zoo.Find("deit_tiny_patch16_224").DropPath);
        Assert.Equal(0.2, Zoo.Find("swin_tiny_patch4_window7_224").DropPath);
        Assert.Equal(LossOf("deit_micro", null), LossOf("deit_micro", 0));
        Assert.NotEqual(LossOf("deit_micro", 0), LossOf("deit_micro", 0.5));
        Assert.NotEqual(LossOf("swin_micro", 0), LossOf("swin_micro", 0.5));
        var exception = Assert.Throws<ArgumentException>(() => LossOf("resnet20", 0.5));
        Assert.Contains("resnet20 has no stochastic depth", exception.Message);

        static double LossOf(string name, double? dropPath)
        {
            using var device = new CpuDevice(1);
            using var arena = new ParameterArena(device);
            var model = Zoo.Create(name, arena.Root, new ImageSpec(3, 32, 32, 10), dropPath);
            arena.Seal(1);
            using var step = Step.Training(device);
            float[] image = [.. Enumerable.Range(0, 8 * 3 * 32 * 32).Select(i => (float)Math.Sin(i))];
            return Op.CrossEntropy(model.Forward(step.From(image, [8, 3, 32, 32])).Logits, step.From(new long[8], [8])).Item();
        }
    }

    [Fact]
    public void First_values_depend_on_the_seed_and_the_parameters_name_only()
    {
        float[] Values(ulong seed, bool another)
        {
            using var arena = new ParameterArena(_device);
            if (another)
                arena.Root.Parameter("declared_first", [7], Init.TruncatedNormal);
            var model = Zoo.Create("deit_micro", arena.Root, new ImageSpec(1, 8, 8, 10));
            arena.Seal(seed);
            return arena.Parameters.Single(parameter => parameter.Name == "blocks.1.mlp.fc1.weight").Value.ToArray<float>();
        }

        Assert.Equal(Values(3, another: false), Values(3, another: true));
        Assert.NotEqual(Values(3, another: false), Values(4, another: false));
    }

    [Fact]
    public void An_unknown_name_is_answered_with_the_near_ones()
    {
        var exception = Assert.Throws<ArgumentException>(() => Zoo.Find("resnet51"));
        Assert.Contains("did you mean resnet56 or resnet50", exception.Message);
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused_in_one_line()
    {
        using var arena = new ParameterArena(_device);
        var exception = Assert.Throws<ArgumentException>(
            () => Zoo.Create("deit_tiny_patch16_224", arena.Root, new ImageSpec(3, 30, 30, 10)));
        Assert.Equal("patches of 16 do not tile images of 30 x 30", exception.Message);
    }
}
