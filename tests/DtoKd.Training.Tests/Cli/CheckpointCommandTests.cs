using System.Text.Json;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Training.Tests.Cli;

public sealed class CheckpointCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public CheckpointCommandTests()
    {
        var writer = new SafetensorsWriter();
        writer.Add("model.s1.b1.conv1.conv.weight", [1, 2], new[] { 1f, 2f });
        writer.Add("model.head.fc.bias", [2], new[] { 3f, 4f });
        writer.Add("optimizer.step", [1], new long[] { 5 });
        writer.Write(_folder["in"]);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Inspect_lists_names_types_shapes_and_checksums()
    {
        var run = Dtokd.Run("inspect", _folder["in"]);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("model.s1.b1.conv1.conv.weight  F32  [1, 2]  ", run.Output);
        Assert.Contains("safetensors: 3 tensors, 5 values, 24 bytes", run.Output);
        Assert.Contains("2 tensors under model, left out 1 under optimizer", run.Output);

        using var json = JsonDocument.Parse(Dtokd.Run("inspect", _folder["in"], "--json").Output);
        var first = json.RootElement.GetProperty("tensors").EnumerateArray()
            .Single(tensor => tensor.GetProperty("name").GetString() == "model.s1.b1.conv1.conv.weight");
        string expected = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData([0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]))[..16];
        Assert.Equal(expected, first.GetProperty("checksum").GetString());
    }

    [Fact]
    public void Convert_translates_and_says_so()
    {
        var run = Dtokd.Run("convert", _folder["in"], _folder["out"], "--to", "torchvision", "--dtype", "f16");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("written: 2 tensors by the names of torchvision RegNet", run.Output);
        using var file = CheckpointReader.Open(_folder["out"]);
        Assert.Equal(["fc.bias", "trunk_output.block1.block1-0.f.a.0.weight"], file.Entries.Select(entry => entry.Name).Order());
        Assert.Equal(SafetensorsType.F16, file["fc.bias"].Type);
        Assert.Equal([3f, 4f], file.ReadFloat32("fc.bias"));
    }

    [Fact]
    public void Convert_says_that_there_is_no_average_to_take()
    {
        Assert.DoesNotContain("average", Dtokd.Run("convert", _folder["in"], _folder["out"]).Output);
        var run = Dtokd.Run("convert", _folder["in"], _folder["out"], "--ema", "--force");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("there is no average of the weights (under model_ema, ", run.Output);
    }

    [Fact]
    public void Convert_replaces_a_file_only_when_told()
    {
        File.WriteAllText(_folder["out"], "old");
        var refused = Dtokd.Run("convert", _folder["in"], _folder["out"]);
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("--force replaces it", refused.Error);
        Assert.Equal("old", File.ReadAllText(_folder["out"]));
        Assert.Equal(0, Dtokd.Run("convert", _folder["in"], _folder["out"], "--force").ExitCode);
        Assert.NotEqual("old", File.ReadAllText(_folder["out"]));
    }

    [Theory]
    [InlineData("--to takes timm or torchvision, not 'jax'", "--to", "jax")]
    [InlineData("--dtype takes f32, f16 or bf16, not 'f8'", "--dtype", "f8")]
    public void Convert_refuses_what_it_does_not_know(string message, string option, string value)
    {
        var run = Dtokd.Run("convert", _folder["in"], _folder["out"], option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error);
        Assert.False(File.Exists(_folder["out"]));
    }

    [Fact]
    public void A_file_of_no_known_format_is_one_line()
    {
        string file = _folder.Write("text", "no checkpoint at all, only text"u8);
        foreach (string[] args in (string[][])[["inspect", file], ["convert", file, _folder["out"]]])
        {
            var run = Dtokd.Run(args);
            Assert.Equal(2, run.ExitCode);
            Assert.Contains(file, Assert.Single(run.Error.Trim().Split('\n')));
        }
    }
}
