using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Fixtures;

/// <summary>
/// The networks for CIFAR-100 and VkD's stem against definitions of their own in PyTorch (tests/oracle/gen_cifar.py): logits,
/// features, loss, gradients and running statistics, in evaluation and in training.
/// </summary>
[Trait("Category", "Fixtures")]
public sealed class CifarFixtureTests
{
    public static TheoryData<string> Networks =>
    [
        "resnet20", "resnet32", "resnet56", "resnet110", "resnet8x4", "resnet32x4", "resnet50", "wrn_16_2", "wrn_40_1", "wrn_40_2",
        "mobilenet_v2", "shuffle_v1", "shuffle_v2", "vkd_micro",
    ];

    [Theory]
    [MemberData(nameof(Networks))]
    public void In_evaluation_they_agree_with_PyTorch(string network) => Check(network, training: false);

    [Theory]
    [MemberData(nameof(Networks))]
    public void In_training_they_agree_with_PyTorch(string network) => Check(network, training: true);

    // In double precision no ReLU changes sides, so that gradients of training agree too; the network that is quick.
    [Fact]
    public void In_double_precision_training_agrees_to_five_digits() => Check("mobilenet_v2", training: true, DType.F64);

    private static void Check(string network, bool training, DType dtype = DType.F32)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/cifar.json")));
        var rule = new WeightRule(json.RootElement.GetProperty("seed").GetUInt64());
        var fixture = json.RootElement.GetProperty("cases").EnumerateArray().Single(item =>
            item.GetProperty("network").GetString() == network && item.GetProperty("training").GetBoolean() == training);
        var values = fixture.GetProperty("values");
        using var device = new CpuDevice();
        using var arena = new ParameterArena(device, dtype);
        var spec = new ImageSpec(3, 32, 32, 100);
        var model = network == "vkd_micro"
            ? new DeiT(arena.Root, spec, new DeiTConfig(16, 48, 2, 3, Distilled: true) { ConvolutionalStem = true })
            : Zoo.Create(network, arena.Root, spec);
        arena.Seal(seed: 0);
        foreach (var (name, tensor) in arena.Parameters.Select(p => (p.Name, p.Value)).Concat(arena.Buffers.Select(b => (b.Name, b.Value))))
        {
            if (tensor.DType == dtype)
                Fill(tensor, rule.Tensor(name, tensor.Shape));
        }

        Assert.Equal(fixture.GetProperty("parameters").GetInt64(), arena.ParameterCount);
        int batch = fixture.GetProperty("batch").GetInt32();
        using var store = new GradStore(arena);
        using var step = training ? Step.Training(device) : Step.Recording(device);
        var image = step.Empty([batch, 3, 32, 32], dtype);
        Fill(image, rule.Image(network, image.Shape));
        var labels = step.From([.. Enumerable.Range(0, batch).Select(b => ((7L * b) + 3) % 100)], [batch]);
        var output = model.Forward(image, withFeatures: true);
        var loss = Op.CrossEntropy(output.Prediction, labels);
        AssertClose("logits", output.Prediction.ToDoubles());
        AssertClose("loss", [loss.Item()]);
        var shapes = fixture.GetProperty("features").EnumerateArray()
            .Select(shape => new Shape([.. shape.EnumerateArray().Select(size => size.GetInt32())])).ToArray();
        Assert.Equal(shapes, output.Features.Select(feature => feature.Shape));
        Assert.Equal(shapes, model.Features.Select(feature => new Shape(batch, feature.Channels, feature.Height, feature.Width)));
        for (int i = 0; i < shapes.Length; i++)
            AssertClose($"feature.{i}", output.Features[i].ToDoubles());
        step.Tape.Backward(loss, store);
        // In single precision a ReLU whose input is zero but for rounding takes either side: another one here than in PyTorch.
        double slack = dtype == DType.F64 ? 0 : training ? 0.05 : 0.02;
        foreach (var parameter in arena.Parameters.Where(_ => fixture.GetProperty("gradients").GetBoolean()))
            AssertClose($"grad.{parameter.Name}", store.Of(parameter).ToDoubles(), slack);
        foreach (var buffer in arena.Buffers.Where(buffer => training && buffer.Value.DType == dtype))
            AssertClose($"buffer.{buffer.Name}", buffer.Value.ToDoubles(), floor: MeanRounding(buffer.Name));

        // What rounding does to a mean is relative to what is averaged, not to the mean: a tenth of it is in the running one.
        double MeanRounding(string buffer)
        {
            if (!buffer.EndsWith("running_mean", StringComparison.Ordinal))
                return 0;
            string variance = buffer.Replace("running_mean", "running_var", StringComparison.Ordinal);
            return 0.1 * 2e-5 * Math.Sqrt(arena.Buffers.Single(other => other.Name == variance).Value.ToDoubles().Max());
        }

        // The tolerance, then as many samples as PyTorch's tensor left: elements floor((j + 1/2) n / m).
        void AssertClose(string key, double[] actual, double slack = 0, double floor = 0)
        {
            double[] stored = [.. values.GetProperty(key).EnumerateArray().Select(value => value.GetDouble())];
            int samples = stored.Length - 1;
            double allowed = Math.Max(Math.Max(stored[0], floor), slack * actual.Max(Math.Abs));
            Assert.True(samples <= actual.Length, $"{key} has {actual.Length} elements");
            for (int j = 0; j < samples; j++)
            {
                double value = actual[(int)((j + 0.5) * actual.Length / samples)];
                Assert.True(
                    Math.Abs(value - stored[j + 1]) <= allowed,
                    $"{key}: sample {j} is {value:g9}, PyTorch has {stored[j + 1]:g9}, allowed {allowed:g3}");
            }
        }
    }

    private static void Fill(Tensor tensor, float[] values)
    {
        if (tensor.DType == DType.F32)
            values.CopyTo(tensor.Span<float>());
        else
            Array.ConvertAll(values, value => (double)value).CopyTo(tensor.Span<double>());
    }
}
