using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class KeyMapTests : IDisposable
{
    private static readonly ImageSpec _imageNet = new(3, 224, 224, 1000);

    private readonly CpuDevice _device = new(1);
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        _folder.Dispose();
        _device.Dispose();
    }

    /// <summary>The names of torchvision's parameters are in the fixtures, written by torchvision.</summary>
    [Theory]
    [InlineData("swin_tiny_patch4_window7_224", "swin_t")]
    [InlineData("regnety_160", "regnet_y_16gf")]
    public void Names_become_torchvisions_and_come_back(string model, string fixture)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/models.json")));
        var theirs = json.RootElement.GetProperty("models").EnumerateArray().Single(entry => entry.GetProperty("id").GetString() == fixture)
            .GetProperty("params").EnumerateArray().Select(parameter => parameter.GetProperty("name").GetString()!).Order().ToList();
        using var arena = new ParameterArena(_device);
        Zoo.Create(model, arena.Root, _imageNet);
        var ours = arena.Parameters.Select(parameter => parameter.Name).ToList();
        var map = KeyMap.All.OfType<WritableKeyMap>().Single(map => map.CanName(ours.ToHashSet()));
        Assert.Equal(theirs, ours.Select(map.FromTimm).Order());
        Assert.Same(map, KeyMap.All.First(map => map.Describes(theirs.ToHashSet())));
        Assert.All(ours, name => Assert.Equal(name, map.ToTimm(map.FromTimm(name))));
        Assert.All(arena.Buffers, buffer => Assert.Equal(buffer.Name, map.ToTimm(map.FromTimm(buffer.Name))));
    }

    [Theory]
    [InlineData("cls_token", "class_token")]
    [InlineData("pos_embed", "encoder.pos_embedding")]
    [InlineData("patch_embed.proj.bias", "conv_proj.bias")]
    [InlineData("blocks.11.norm2.weight", "encoder.layers.encoder_layer_11.ln_2.weight")]
    [InlineData("blocks.0.attn.qkv.weight", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight")]
    [InlineData("blocks.0.attn.proj.bias", "encoder.layers.encoder_layer_0.self_attention.out_proj.bias")]
    [InlineData("blocks.3.mlp.fc2.weight", "encoder.layers.encoder_layer_3.mlp.3.weight")]
    [InlineData("norm.weight", "encoder.ln.weight")]
    [InlineData("head.bias", "heads.head.bias")]
    public void A_vision_transformer_has_torchvisions_names(string timm, string torchvision)
    {
        var map = new TorchvisionVit();
        Assert.Equal(torchvision, map.FromTimm(timm));
        Assert.Equal(timm, map.ToTimm(torchvision));
    }

    [Fact]
    public void Microsofts_Swin_merges_patches_one_stage_earlier_and_carries_buffers()
    {
        var names = Names("layers.0.blocks.0.attn.qkv.weight", "layers.0.blocks.0.attn.relative_position_index",
            "layers.0.blocks.1.attn_mask", "layers.0.downsample.norm.bias", "layers.2.downsample.reduction.weight", "norm.bias", "head.weight");
        Assert.Equal(
            ["head.fc.weight", "layers.0.blocks.0.attn.qkv.weight", "layers.1.downsample.norm.bias", "layers.3.downsample.reduction.weight", "norm.bias"],
            names.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["names of Microsoft's Swin, or timm's before 0.9: 5 tensors, 2 index and mask buffers left out"], names.Notes);
    }

    [Fact]
    public void The_network_is_found_among_what_else_a_run_saves()
    {
        string[] saved = ["model.module.norm.bias", "model.module.head.bias", "model_ema.norm.bias", "model_ema.head.bias", "optimizer.state.0.exp_avg"];
        var weights = Names(saved);
        Assert.Equal(["head.bias", "norm.bias"], weights.Entries.Keys.Order());
        Assert.Equal("model.module.norm.bias", weights.Entries["norm.bias"].Name);
        Assert.Equal(
            ["2 tensors under model, left out 2 under model_ema, 1 under optimizer", "2 tensors under module"], weights.Notes);
        Assert.Equal("model_ema.norm.bias", CheckpointNames.Of(Open(saved), average: true).Entries["norm.bias"].Name);
    }

    [Fact]
    public void Two_tensors_of_one_name_are_refused()
    {
        var error = Assert.Throws<InvalidDataException>(() => Names(
            "encoder.pos_embedding", "encoder.layers.encoder_layer_0.mlp.0.weight", "encoder.layers.encoder_layer_0.mlp.linear_1.weight"));
        Assert.Contains("are both blocks.0.mlp.fc1.weight", error.Message);
    }

    [Theory]
    [InlineData("regnety_nano", 64)]
    [InlineData("swin_micro", 64)]
    [InlineData("deit_micro", 64)]
    public void A_file_converted_to_torchvisions_names_loads_and_converts_back_to_the_same_bytes(string model, int side)
    {
        var spec = new ImageSpec(3, side, side, 5);
        using var arena = Filled(model, spec, seed: 1);
        ModelFile.Save(_folder["ours"], arena, new Dictionary<string, string>());
        Convert("ours", "theirs", new ConversionOptions { To = NamingScheme.Torchvision });
        Convert("theirs", "back", new ConversionOptions());

        using var other = Filled(model, spec, seed: 2);
        Assert.NotEmpty(ModelFile.Load(_folder["theirs"], other));
        Assert.Equal(arena.Flat.ToArray<float>(), other.Flat.ToArray<float>());
        using var ours = CheckpointReader.Open(_folder["ours"]);
        using var back = CheckpointReader.Open(_folder["back"]);
        Assert.Equal(ours.Entries.Select(entry => entry.Name).Order(), back.Entries.Select(entry => entry.Name).Order());
        Assert.All(ours.Entries, entry => Assert.Equal(ours.ReadBytes(entry.Name), back.ReadBytes(entry.Name)));
    }

    [Fact]
    public void Weights_are_rounded_to_half_precision_and_counters_are_not()
    {
        var writer = new SafetensorsWriter();
        writer.Add("x", [5], new[] { 1.00390625f, 1.01171875f, -3.1415927f, float.NaN, float.PositiveInfinity });
        writer.Add("n", [1], new long[] { 7 });
        writer.Write(_folder["in"]);
        Convert("in", "out", new ConversionOptions { FloatType = SafetensorsType.BF16 });
        using var file = CheckpointReader.Open(_folder["out"]);
        Assert.Equal(SafetensorsType.BF16, file["x"].Type);
        Assert.Equal(SafetensorsType.I64, file["n"].Type);
        // Halfway between 1 and 1.0078125, and between 1.0078125 and 1.015625: the even neighbour of each.
        Assert.Equal([1f, 1.015625f, -3.140625f, float.NaN, float.PositiveInfinity], file.ReadFloat32("x"));
    }

    private void Convert(string from, string to, ConversionOptions options)
    {
        using var file = CheckpointReader.Open(_folder[from]);
        CheckpointConverter.Convert(file, _folder[to], options);
    }

    private ParameterArena Filled(string model, ImageSpec spec, ulong seed)
    {
        var arena = new ParameterArena(_device);
        Zoo.Create(model, arena.Root, spec);
        arena.Seal(seed);
        return arena;
    }

    private CheckpointNames Names(params string[] names) => CheckpointNames.Of(Open(names));

    private SafetensorsReader Open(params string[] names)
    {
        var writer = new SafetensorsWriter();
        foreach (string name in names)
            writer.Add(name, [1], new float[1]);
        writer.Write(_folder["names"]);
        return SafetensorsReader.Open(_folder["names"]);
    }
}
