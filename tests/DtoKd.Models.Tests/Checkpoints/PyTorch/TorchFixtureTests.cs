using System.Text.Json;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints.PyTorch;

/// <summary>Files that PyTorch 1.13 wrote, with what PyTorch says is in them.</summary>
public sealed class TorchFixtureTests
{
    private static readonly Lazy<JsonElement> Described = new(() =>
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/torch/torch.json")));
        return json.RootElement.Clone();
    });

    public static TheoryData<string> Files =>
        [.. Described.Value.EnumerateObject().Where(file => file.Name.EndsWith(".pt")).Select(file => file.Name)];

    [Theory]
    [Trait("Category", "Fixtures")]
    [MemberData(nameof(Files))]
    public void Every_tensor_and_setting_is_as_PyTorch_says(string file)
    {
        var about = Described.Value.GetProperty(file);
        var content = Described.Value.GetProperty(about.GetProperty("of").GetString()!);
        using var reader = CheckpointReader.Open(SharedFiles.Require($"fixtures/torch/{file}"));
        Assert.Equal(about.GetProperty("format").GetString(), reader.Format);

        var tensors = content.GetProperty("tensors").EnumerateObject().ToDictionary(tensor => tensor.Name, tensor => tensor.Value);
        Assert.Equal(tensors.Keys.Order(), reader.Entries.Select(entry => entry.Name).Order());
        foreach (var (name, tensor) in tensors)
            Check(reader, name, tensor);
        foreach (var setting in content.GetProperty("metadata").EnumerateObject())
        {
            Assert.True(reader.Metadata.TryGetValue(setting.Name, out string? text), setting.Name);
            Assert.Equal(setting.Value.GetString(), text);
        }
    }

    [Fact]
    public void Fixtures_are_there() => Assert.True(Files.Count >= 20);

    private static void Check(CheckpointReader reader, string name, JsonElement tensor)
    {
        var entry = reader[name];
        var numbers = tensor.GetProperty("values").EnumerateArray().ToList();
        Assert.Equal(tensor.GetProperty("type").GetString(), entry.Type.FileName());
        Assert.Equal(tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()), entry.Shape);
        Assert.Equal(numbers.Count, entry.ElementCount);
        Assert.Equal(numbers.Select(number => number.GetDouble()), reader.ReadFloat64(name));
        Assert.Equal(numbers.Select(number => (float)number.GetDouble()), reader.ReadFloat32(name));

        // The bytes, too: as a safetensors file they must give the same numbers.
        byte[] bytes = reader.ReadBytes(name);
        Assert.Equal(entry.ByteCount, bytes.Length);
        var writer = new SafetensorsWriter();
        writer.Add("x", entry.Type, entry.Shape.ToArray(), bytes);
        var stream = new MemoryStream();
        writer.WriteTo(stream);
        using var copy = new SafetensorsReader(new FileBytes("copy", stream.ToArray()));
        Assert.Equal(numbers.Select(number => number.GetDouble()), copy.ReadFloat64("x"));

        if (entry.Type is SafetensorsType.F64 or SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16)
            Assert.Throws<InvalidDataException>(() => reader.ReadInt64(name));
        else
            Assert.Equal(numbers.Select(number => number.GetInt64()), reader.ReadInt64(name));
    }
}
