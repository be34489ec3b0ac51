using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class ModelLoadingTests : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        _folder.Dispose();
        _device.Dispose();
    }

    public static TheoryData<int> ResizingCases()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/resizing.json")));
        return [.. Enumerable.Range(0, json.RootElement.GetArrayLength())];
    }

    [Theory]
    [MemberData(nameof(ResizingCases))]
    public void Tables_of_positions_are_fitted_as_by_PyTorch_and_scipy(int index)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/resizing.json")));
        var fixture = json.RootElement[index];
        int Int(string name) => fixture.GetProperty(name).GetInt32();
        float[] Values(string name) => [.. fixture.GetProperty(name).EnumerateArray().Select(value => value.GetSingle())];
        float[] expected = Values("new");
        float[] actual = fixture.GetProperty("kind").GetString() == "positions"
            ? Resizing.Positions(_device, Values("old"), Int("size"), Int("prefix"), Int("rows"), Int("columns"))
            : Resizing.RelativeBias(Values("old"), Int("heads"), Int("side"));
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 5e-6f);
    }

    [Fact]
    public void A_transformer_of_another_image_size_gets_fitted_positions_and_the_rest_as_it_is()
    {
        using var small = Network("deit_tiny_distilled_patch16_224", side: 64, classes: 4, seed: 1);
        Save(small);
        using var large = Network("deit_tiny_distilled_patch16_224", side: 96, classes: 4, seed: 2);
        Assert.Equal(["pos_embed fitted from [1, 18, 192] to [1, 38, 192], bicubic"], ModelFile.Load(_folder["file"], large));
        var (old, fitted) = (Values(small, "pos_embed"), Values(large, "pos_embed"));
        Assert.Equal(old[..(2 * 192)], fitted[..(2 * 192)]);
        Assert.Equal(Values(small, "blocks.5.attn.qkv.weight"), Values(large, "blocks.5.attn.qkv.weight"));
    }

    [Fact]
    public void A_classifier_of_other_classes_is_left_out_on_request_only()
    {
        using var ten = Network("regnety_nano", side: 32, classes: 10, seed: 1);
        Save(ten);
        using var three = Network("regnety_nano", side: 32, classes: 3, seed: 2);
        float[] before = three.Flat.ToArray<float>();
        var error = Assert.Throws<InvalidDataException>(() => ModelFile.Load(_folder["file"], three));
        Assert.Contains("head.fc.weight is [10, 64], the network has [3, 64]", error.Message);
        Assert.Contains("head.fc.bias is [10], the network has [3]", error.Message);
        Assert.Equal(before, three.Flat.ToArray<float>());

        float[] head = Values(three, "head.fc.weight");
        Assert.Equal(
            ["the file's classifier is left out; head.fc.weight, head.fc.bias stay as they are"],
            ModelFile.Load(_folder["file"], three, new LoadOptions { DropHead = true }));
        Assert.Equal(head, Values(three, "head.fc.weight"));
        Assert.Equal(Values(ten, "stem.conv.weight"), Values(three, "stem.conv.weight"));
    }

    [Fact]
    public void All_differences_are_named_together()
    {
        var writer = new SafetensorsWriter();
        using var network = Network("regnety_nano", side: 32, classes: 3, seed: 1);
        foreach (var parameter in network.Parameters.Where(parameter => parameter.Name is not ("stem.conv.weight" or "head.fc.bias")))
            ModelFile.Add(writer, parameter.Name, parameter.Value);
        foreach (var buffer in network.Buffers)
            ModelFile.Add(writer, buffer.Name, buffer.Value);
        writer.Add("head.fc.bias", [2], new float[2]);
        writer.Add("extra.weight", [2, 3], new float[6]);
        writer.Write(_folder["file"]);
        var error = Assert.Throws<InvalidDataException>(() => ModelFile.Load(_folder["file"], network));
        Assert.Contains("missing stem.conv.weight", error.Message);
        Assert.Contains("unexpected extra.weight [2, 3]", error.Message);
        Assert.Contains("head.fc.bias is [2], the network has [3]", error.Message);
    }

    [Fact]
    public void Files_without_batch_counters_load()
    {
        using var from = Network("regnety_nano", side: 32, classes: 3, seed: 1);
        ModelFile.Save(_folder["file"], from, new Dictionary<string, string>(), name => !name.EndsWith("num_batches_tracked"));
        using var to = Network("regnety_nano", side: 32, classes: 3, seed: 2);
        Assert.Contains("batch counters are not in the file", Assert.Single(ModelFile.Load(_folder["file"], to)));
        Assert.Equal(from.Flat.ToArray<float>(), to.Flat.ToArray<float>());
    }

    private ParameterArena Network(string name, int side, int classes, ulong seed)
    {
        var arena = new ParameterArena(_device);
        Zoo.Create(name, arena.Root, new ImageSpec(3, side, side, classes));
        arena.Seal(seed);
        return arena;
    }

    private void Save(ParameterArena arena) => ModelFile.Save(_folder["file"], arena, new Dictionary<string, string>());

    private static float[] Values(ParameterArena arena, string name) =>
        arena.Parameters.Single(parameter => parameter.Name == name).Value.ToArray<float>();
}
