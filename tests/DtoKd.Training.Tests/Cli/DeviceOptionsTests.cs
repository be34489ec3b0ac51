using System.Text.Json;

namespace DtoKd.Training.Tests.Cli;

public class DeviceOptionsTests
{
    [Fact]
    public void Auto_says_on_one_line_what_it_chose_and_the_measurement_names_it()
    {
        var run = Dtokd.Run("bench", "op", "gelu", "1", "--iterations", "1", "--device", "auto");
        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"^device: (cpu \(.+\)|cuda:\d, .+)\n$", run.Error);
        string device = JsonDocument.Parse(run.Output).RootElement.GetProperty("device").GetString()!;
        Assert.StartsWith(device.Split(' ')[0], run.Error["device: ".Length..], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("distill")]
    [InlineData("train")]
    [InlineData("eval")]
    [InlineData("bench step")]
    [InlineData("bench peak")]
    public void What_computes_takes_a_device(string verb) =>
        Assert.Contains("--device <NAME>", Dtokd.Run([.. verb.Split(' '), "--help"]).Output, StringComparison.Ordinal);
}
