using System.Text.Json;
using DtoKd.Models;

namespace DtoKd.Training.Tests.Cli;

public sealed class ModelsTests
{
    [Fact]
    public void Models_lists_every_network_with_its_cost()
    {
        var result = Dtokd.Run("models");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.All(Zoo.Entries, entry => Assert.Contains($" {entry.Name} ", result.Output));
        Assert.Matches(@" regnety_160 +83,590,140 +15\.9 +[0-9.]+ +80\.4 +3x224x224, 1000 classes +Radosavovic et al\. 2020", result.Output);
    }

    [Fact]
    public void Json_is_one_object_a_line()
    {
        var result = Dtokd.Run("models", "--json");
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(Zoo.Entries.Count, lines.Length);
        using var resnet20 = JsonDocument.Parse(lines.Single(line => line.Contains("\"resnet20\"")));
        Assert.Equal(278_324, resnet20.RootElement.GetProperty("parameters").GetInt64());
        Assert.Equal(100, resnet20.RootElement.GetProperty("classes").GetInt32());
        Assert.Equal(69.06, resnet20.RootElement.GetProperty("top1").GetDouble());
        using var micro = JsonDocument.Parse(lines[0]);
        Assert.Equal(JsonValueKind.Null, micro.RootElement.GetProperty("top1").ValueKind);
    }
}
