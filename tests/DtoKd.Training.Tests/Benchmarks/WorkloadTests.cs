using System.Text.Json;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Benchmarks;
using DtoKd.Training.Tests.Cli;

namespace DtoKd.Training.Tests.Benchmarks;

public class WorkloadTests
{
    [Fact]
    public void A_product_is_timed_and_compared_with_double_precision()
    {
        var run = Dtokd.Run("bench", "gemm", "33", "17", "65", "--iterations", "2", "--check");
        Assert.Equal(0, run.ExitCode);
        var lines = run.Output.Trim().Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal("gemm 33x17x65", lines[0].GetProperty("what").GetString());
        Assert.Equal("flop", lines[0].GetProperty("unit").GetString());
        double error = lines[1].GetProperty("error").GetDouble();
        // Rounded, but not by much.
        Assert.InRange(error, 1e-9, 1e-5);
        Assert.True(lines[1].GetProperty("right").GetBoolean());
    }

    [Fact]
    public void A_copy_counts_what_is_read_and_what_is_written()
    {
        using var device = new CpuDevice(1);
        using var copy = new CopyWorkload(device, 1);
        Assert.Equal(2 << 20, copy.Units);
        var measured = Measurement.Of(device, copy, 1);
        Assert.Equal(copy.Units * 1e3 / measured.MedianMilliseconds, measured.PerSecond, 1.0);
    }

    [Fact]
    public void Threads_are_compared_in_pairs_of_the_same_work()
    {
        using CpuDevice one = new(1), team = new(2);
        var devices = new List<CpuDevice>();
        var scaling = ScalingBenchmark.Run(one, team, device => Copy(device), pairs: 3);
        Assert.Equal([one, team], devices);
        Assert.Equal((2, 3), (scaling.Threads, scaling.Pairs));
        Assert.True(scaling is { OneMilliseconds: > 0, TeamMilliseconds: > 0, Ratio: > 0 });

        CopyWorkload Copy(CpuDevice device)
        {
            devices.Add(device);
            return new CopyWorkload(device, 1);
        }
    }

    [Fact]
    public void Of_pairs_the_median_ratio_counts_and_that_of_the_pairs_between_short_exchanges()
    {
        (double, double)[] milliseconds = [(5, 10), (8, 12), (10, 30)];
        // The third exchange, after the first pair and before the second, is long.
        var scaling = Scaling.Of("x", 2, milliseconds, [25e-9, 26e-9, 150e-9, 27e-9, 26e-9, 25e-9, 24e-9]);
        Assert.Equal(new Scaling("x", 2, 3, 12, 8, 2, 1, 3, 24e-9, 150e-9), scaling);
        // All are long.
        Assert.Equal(
            new Scaling("x", 2, 3, 12, 8, 2, 0, null, 150e-9, 150e-9), Scaling.Of("x", 2, milliseconds, [.. Enumerable.Repeat<double?>(150e-9, 7)]));
        // One processor exchanges nothing.
        Assert.Equal(new Scaling("x", 2, 3, 12, 8, 2, 0, null, null, null), Scaling.Of("x", 2, milliseconds, new double?[7]));
    }

    [Fact]
    public void Threads_want_a_network_and_more_than_no_thread()
    {
        Assert.Contains("--threads is 0", Dtokd.Run("bench", "threads", "deit_tiny_patch16_224", "1", "--threads", "0").Error, StringComparison.Ordinal);
        Assert.Contains("--threads is 1", Dtokd.Run("bench", "threads", "deit_tiny_patch16_224", "1", "--threads", "1").Error, StringComparison.Ordinal);
        Assert.Contains("no_such_net", Dtokd.Run("bench", "threads", "no_such_net", "1").Error, StringComparison.Ordinal);
    }
}
