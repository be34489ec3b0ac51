using System.Text.Json;
using DtoKd.Training.Balancing;
using DtoKd.Training.Tests.Cli;

namespace DtoKd.Training.Tests.Benchmarks;

public class BalanceBenchmarkTests
{
    [Fact]
    public void Every_rule_is_timed_for_two_three_and_eight_objectives()
    {
        var run = Dtokd.Run("bench", "balance", "--calls", "2", "--parameters", "5000", "--json");
        Assert.Equal(0, run.ExitCode);
        var lines = run.Output.Trim().Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        foreach (var entry in BalancerRegistry.Distinct)
        {
            Assert.Equal(
                [2, 3, 8],
                lines.Where(line => line.GetProperty("what").GetString() == $"balance {entry.Name}")
                    .Select(line => line.GetProperty("objectives").GetInt32()));
        }
        Assert.All(lines, line => Assert.True(line.GetProperty("microseconds").GetDouble() > 0));
        Assert.Equal("balance gram", lines[^1].GetProperty("what").GetString());
        Assert.True(lines[^1].GetProperty("share_of_copy").GetDouble() > 0);
    }

    [Fact]
    public void No_calls_are_bad_usage() => Assert.Equal(2, Dtokd.Run("bench", "balance", "--calls", "0").ExitCode);
}
