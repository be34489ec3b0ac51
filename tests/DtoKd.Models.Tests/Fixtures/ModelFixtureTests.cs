using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Fixtures;

/// <summary>
/// Networks against PyTorch: logits, loss and gradients for weights that a rule gives. The values were computed in double
/// precision; in single precision each has its own tolerance.
/// </summary>
[Trait("Category", "Fixtures")]
public class ModelFixtureTests
{
    private const double Smoothing = 0.1;

    // The values are stored in single precision.
    private const double InDouble = 1e-6, InDoubleAtLeast = 1e-9;

    public static TheoryData<string> Small => ["vit_micro", "deit_micro", "swin_micro", "regnet_micro", "regnet_micro_eval"];

    public static TheoryData<string> Published =>
    [
        "deit_tiny", "deit_tiny_distilled", "swin_nano", "swin_nano_odd", "swin_t", "regnet_y_16gf", "regnet_y_16gf_train",
    ];

    [Theory]
    [MemberData(nameof(Small))]
    public void Small_networks_have_all_of_PyTorchs_gradients(string id) => Check(id, DType.F32);

    [Theory]
    [MemberData(nameof(Small))]
    public void In_double_precision_they_agree_to_six_digits(string id) => Check(id, DType.F64);

    [Theory]
    [MemberData(nameof(Published))]
    public void Published_sizes_agree_with_PyTorch(string id) => Check(id, DType.F32);

    private static void Check(string id, DType dtype)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/models.json")));
        using var values = SafetensorsReader.Open(SharedFiles.Require("fixtures/models.safetensors"));
        var fixture = json.RootElement.GetProperty("models").EnumerateArray().Single(model => model.GetProperty("id").GetString() == id);
        var rule = new WeightRule(json.RootElement.GetProperty("seed").GetUInt64());
        using var device = new CpuDevice();
        using var arena = new ParameterArena(device, dtype);
        var sizes = fixture.GetProperty("input_shape").EnumerateArray().Select(size => size.GetInt32()).ToArray();
        int classes = fixture.GetProperty("classes").GetInt32();
        var model = Build(fixture.GetProperty("config"), arena.Root, new ImageSpec(sizes[1], sizes[2], sizes[3], classes));
        arena.Seal(seed: 0);
        Func<string, string> rename = model switch { Swin => new TorchvisionSwin().FromTimm, RegNetY => new TorchvisionRegNet().FromTimm, _ => name => name };
        foreach (var (name, tensor) in arena.Parameters.Select(p => (p.Name, p.Value)).Concat(arena.Buffers.Select(b => (b.Name, b.Value))))
            Fill(tensor, rule.Tensor(rename(name), tensor.Shape));
        Assert.Equal(fixture.GetProperty("n_params").GetInt64(), arena.ParameterCount);

        using var store = new GradStore(arena);
        using var step = fixture.GetProperty("train").GetBoolean() ? Step.Training(device) : Step.Recording(device);
        var image = step.Empty(new Shape(sizes), dtype);
        Fill(image, rule.Image(id, image.Shape));
        image = step.Watch(image);
        var labels = step.From(fixture.GetProperty("labels").EnumerateArray().Select(label => label.GetInt64()).ToArray(), [sizes[0]]);
        var output = model.Forward(image);
        var loss = Op.CrossEntropy(output.Logits, labels, labelSmoothing: Smoothing);
        if (output.DistillationLogits is { } second)
        {
            var taught = Enumerable.Range(0, sizes[0]).Select(b => (long)Enumerable.Range(0, classes)
                .MaxBy(c => rule.Value($"teacher:{id}", (b * (long)classes) + c))).ToArray();
            loss = Op.Affine(loss + Op.CrossEntropy(second, step.From(taught, [sizes[0]])), 0.5);
        }

        AssertClose(values.ReadFloat32($"{id}.logits"), output.Prediction.ToDoubles(), Tolerance(fixture, "logits_tol", dtype), "logits");
        AssertClose([(float)fixture.GetProperty("loss").GetDouble()], [loss.Item()], Tolerance(fixture, "loss_tol", dtype), "loss");
        step.Tape.Backward(loss, store);
        AssertGradients(fixture, id, values, arena, store, rename, dtype);
        var inputGradient = store.Of(image)!.ToDoubles();
        AssertClose(
            values.ReadFloat32($"{id}.grad_input"),
            id.Contains("micro") ? inputGradient : Samples(inputGradient, 128),
            Tolerance(fixture, "grad_input_tol", dtype),
            "gradient of the input");
        // At batch 2 statistics are as ill-conditioned as the logits.
        double? statistics = Tolerance(fixture, "logits_tol", dtype) is { } logits ? Math.Max(1e-5, logits) : null;
        foreach (var buffer in arena.Buffers.Where(buffer => values.Contains($"{id}.bn.{rename(buffer.Name)}")))
            AssertClose(values.ReadFloat32($"{id}.bn.{rename(buffer.Name)}"), buffer.Value.ToDoubles(), statistics, buffer.Name);
    }

    private static void AssertGradients(
        JsonElement fixture, string id, SafetensorsReader values, ParameterArena arena, GradStore store, Func<string, string> rename, DType dtype)
    {
        var gradients = arena.Parameters.ToDictionary(parameter => rename(parameter.Name), parameter => store.Of(parameter).ToDoubles());
        var samples = values.Contains($"{id}.grad_samples") ? values.ReadFloat32($"{id}.grad_samples") : null;
        int row = 0;
        foreach (var parameter in fixture.GetProperty("params").EnumerateArray())
        {
            string name = parameter.GetProperty("name").GetString()!;
            double? tolerance = Tolerance(parameter, "tol", dtype);
            var gradient = gradients[name];
            if (values.Contains($"{id}.grad.{name}"))
                AssertClose(values.ReadFloat32($"{id}.grad.{name}"), gradient, tolerance, $"gradient of {name}");
            else
                AssertClose(samples!.AsSpan(row * 8, Math.Min(8, gradient.Length)), Samples(gradient, 8), tolerance, $"gradient of {name}");
            row++;
        }

        Assert.Equal(gradients.Count, row);
    }

    private static VisionModel Build(JsonElement config, ParameterScope scope, ImageSpec spec)
    {
        int Int(string name) => config.GetProperty(name).GetInt32();
        int[] Ints(string name) => [.. config.GetProperty(name).EnumerateArray().Select(value => value.GetInt32())];
        switch (config.GetProperty("kind").GetString())
        {
            case "regnet":
                return new RegNetY(scope, spec, RegNetYConfig.Generate(
                    Int("w_0"), config.GetProperty("w_a").GetDouble(), config.GetProperty("w_m").GetDouble(), Int("depth"), Int("group_width")));
            case "swin":
                return new Swin(scope, spec, new SwinConfig(Int("patch"), Int("dim"), Ints("depths"), Ints("heads"), Int("window")));
            case { } kind:
                return new DeiT(scope, spec, new DeiTConfig(Int("patch"), Int("dim"), Int("depth"), Int("heads"), kind == "deit"));
            default:
                throw new InvalidDataException("a model without kind");
        }
    }

    private static void Fill(Tensor tensor, float[] values)
    {
        if (tensor.DType == DType.F32)
            values.CopyTo(tensor.Span<float>());
        else if (tensor.DType == DType.F64)
            Array.ConvertAll(values, value => (double)value).CopyTo(tensor.Span<double>());
    }

    /// <summary>Elements floor((j + 1/2) n / m) for j below m: what the fixtures keep of a large tensor.</summary>
    private static double[] Samples(double[] values, int most)
    {
        int m = Math.Min(most, values.Length);
        return [.. Enumerable.Range(0, m).Select(j => values[(int)((j + 0.5) * values.Length / m)])];
    }

    /// <summary>What the fixture allows in single precision; null in double precision.</summary>
    private static double? Tolerance(JsonElement element, string name, DType dtype) =>
        dtype == DType.F64 ? null : element.GetProperty(name).GetDouble();

    private static void AssertClose(ReadOnlySpan<float> expected, double[] actual, double? tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double allowed = tolerance ?? Math.Max(InDouble * actual.Max(Math.Abs), InDoubleAtLeast);
        for (int i = 0; i < actual.Length; i++)
        {
            Assert.True(
                Math.Abs(expected[i] - actual[i]) <= allowed,
                $"{what}: element {i} is {actual[i]:g9}, PyTorch has {expected[i]:g9}, allowed {allowed:g3}");
        }
    }
}
