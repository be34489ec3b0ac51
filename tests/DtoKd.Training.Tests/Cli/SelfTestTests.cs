using System.Text.Json;
using DtoKd.Engine.Gpu;

namespace DtoKd.Training.Tests.Cli;

public class SelfTestTests
{
    [Fact]
    public void Every_check_that_was_asked_for_is_run_and_told()
    {
        var run = Dtokd.Run("selftest", "--only", "softmax", "--json");
        Assert.Equal(0, run.ExitCode);
        var lines = run.Output.TrimEnd().Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["LogSoftmax", "Softmax"], lines.Select(line => line.GetProperty("subject").GetString()).Distinct().Order());
        Assert.All(lines, line => Assert.Equal("passed", line.GetProperty("verdict").GetString()));
        Assert.All(lines, line => Assert.InRange(line.GetProperty("error").GetDouble(), 0, line.GetProperty("allowed").GetDouble()));
    }

    [Fact]
    public void Networks_are_trained_too()
    {
        var run = Dtokd.Run("selftest", "--only", "deit_micro_distilled");
        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"deit_micro_distilled +3 +.* ok\n3 passed, 0 failed in ", run.Output);
    }

    [Fact]
    public void A_card_that_is_not_there_is_one_line()
    {
        GpuInfo.List(out string? problem);
        Assert.SkipWhen(problem is null, "there is a card");
        var run = Dtokd.Run("selftest", "--device", "cuda");
        Assert.Equal((2, $"dtokd: cuda:0: {problem}\n", ""), (run.ExitCode, run.Error, run.Output));
    }

    [Fact]
    public void A_name_that_nothing_has_is_refused()
    {
        var run = Dtokd.Run("selftest", "--only", "nothing");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("'nothing'", run.Error, StringComparison.Ordinal);
    }
}
