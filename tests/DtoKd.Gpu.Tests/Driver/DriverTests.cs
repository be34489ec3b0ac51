using DtoKd.Tests;

namespace DtoKd.Gpu.Tests.Driver;

/// <summary>How a card would be driven: what reaches the driver, against what a driver and a card refuse.</summary>
public sealed class DriverTests(StubDriver driver) : IClassFixture<StubDriver>
{
    // An H200's, of which the stub takes what is written to.
    private const long Memory = 141L << 30;

    // Nothing is computed, so answers are wrong; grids, groups, shared memory and arguments are those of a card.
    [Fact]
    public void Every_operation_launches_what_a_card_takes() => AssertTaken(driver.Run(Memory, "selftest", "--device", "cuda"));

    [Theory]
    [InlineData("step", "swin_tiny_patch4_window7_224", "64", "--matmul-precision", "high")]
    [InlineData("gemm", "4099", "1027", "512", "--matmul-precision", "high")]
    [InlineData("gemm", "2048", "1024", "512", "--matmul-precision", "medium")]
    [InlineData("copy", "1024")]
    [InlineData("kd", "regnety_160", "deit_tiny_patch16_224", "256", "--method", "exact", "--matmul-precision", "medium")]
    public void A_benchmark_of_full_size_launches_what_a_card_takes(params string[] workload)
    {
        var run = driver.Run(Memory, ["bench", .. workload, "--iterations", "1", "--device", "cuda"]);
        AssertTaken(run);
        Assert.True(run.ExitCode == 0 || run.Error.Contains("no kernel", StringComparison.Ordinal), run.Error);
    }

    [Fact]
    public void Tuning_is_kept_for_later_runs_and_a_damaged_file_costs_them_a_line()
    {
        var tuned = driver.Run(Memory, "tune", "deit_micro_distilled", "8", "--device", "cuda", "--matmul-precision", "medium");
        Assert.True(tuned.ExitCode == 0, tuned.Error);
        AssertTaken(tuned);
        Assert.Contains("TFLOP/s", tuned.Output, StringComparison.Ordinal);
        Assert.Contains("Stub of a driver", File.ReadAllText(driver.Tuning), StringComparison.Ordinal);
        string[] product = ["bench", "gemm", "64", "64", "64", "--iterations", "1", "--device", "cuda"];
        Assert.Equal("", driver.Run(Memory, product).Error);
        File.WriteAllText(driver.Tuning, "[{");
        var damaged = driver.Run(Memory, product);
        File.Delete(driver.Tuning);
        Assert.Equal(0, damaged.ExitCode);
        Assert.Contains("products.json is not used", Assert.Single(damaged.Error.Trim().Split('\n')), StringComparison.Ordinal);
    }

    [Fact]
    public void The_device_is_listed_and_opened_through_libcuda_so_1()
    {
        var run = driver.Run(1L << 30, "info");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("cuda:0      Stub of a driver, 1.0 GiB, capability 9.0, driver of CUDA 13.0", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Out_of_memory_frees_the_cache_asks_again_and_then_names_the_batch_and_the_owners()
    {
        var run = driver.Run(1L << 30, "bench", "step", "deit_tiny_patch16_224", "96", "--device", "cuda");
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("dtokd: a step of 96 images does not fit: Stub of a driver has no room for", run.Error, StringComparison.Ordinal);
        Assert.Contains("most by ", run.Error, StringComparison.Ordinal);
        Assert.Contains("lower the batch size", run.Error, StringComparison.Ordinal);
        // The block that does not fit is asked for again after the cache is given back.
        string[] refused = [.. run.Calls.Where(call => call.StartsWith("refused", StringComparison.Ordinal))];
        Assert.Equal(refused[^1], refused[^2]);
        Assert.Equal(run.Count("alloc"), run.Calls.Count(call => call.StartsWith("free", StringComparison.Ordinal) && call != "free 0"));
    }

    [Fact]
    public void Batches_are_copied_beside_the_computation_and_no_step_waits_for_the_stream()
    {
        using var folder = new TemporaryFolder();
        var run = driver.Run(Memory, "train", "--model", "deit_micro", "--epochs", "1", "--device", "cuda", "--no-progress", "--output", folder["run"]);
        Assert.True(run.ExitCode == 0, run.Error);
        AssertTaken(run);

        // The stream of the batches is the one that is not ILGPU's default.
        string[] uploads = [.. run.Calls.Where(call => call.StartsWith("upload", StringComparison.Ordinal) && !call.EndsWith("(nil)", StringComparison.Ordinal))];
        string stream = Assert.Single(uploads.Select(call => call.Split(' ')[2]).Distinct());
        string[] copying = [.. run.Calls.Where(call => call.StartsWith($"wait {stream}", StringComparison.Ordinal)
            || call.EndsWith(' ' + stream, StringComparison.Ordinal))];
        for (int i = 0; i < copying.Length; i += 3)
        {
            // After the last reader of the room; and a mark behind it that the computation waits for.
            Assert.StartsWith("wait", copying[i], StringComparison.Ordinal);
            Assert.StartsWith("upload", copying[i + 1], StringComparison.Ordinal);
            string mark = copying[i + 2].Split(' ')[1];
            Assert.Equal($"record {mark} {stream}", copying[i + 2]);
            Assert.Contains($"wait (nil) {mark}", run.Calls);
        }

        // Inside of the epoch of 22 steps: marks are waited for, but never for all that was asked for.
        int[] at = [.. run.Calls.Index().Where(call => call.Item.EndsWith(' ' + stream, StringComparison.Ordinal) && call.Item[0] == 'u').Select(call => call.Index)];
        Assert.DoesNotContain("sync (nil)", run.Calls.Take(at[20]).Skip(at[3]));
    }

    private static void AssertTaken(DriverRun run)
    {
        Assert.True(run.Count("launch") > 0, run.Error);
        Assert.DoesNotContain(run.Calls, call => call.Contains("error", StringComparison.Ordinal));
        // ILGPU loads vectors without asking where a view starts.
        Assert.DoesNotContain(run.Calls, call => call.Contains("unaligned", StringComparison.Ordinal));
    }
}
