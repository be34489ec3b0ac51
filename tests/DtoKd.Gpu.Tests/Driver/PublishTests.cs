using DtoKd.Tests;

namespace DtoKd.Gpu.Tests.Driver;

/// <summary>
/// The one file that users download: its size, and that what is found by reflection (kernels, JSON, the plots' script, the
/// driver's library) is still found. Publishing takes a minute, so it is done only where DTOKD_TEST_PUBLISH is 1, as in .ci/run.
/// </summary>
public sealed class PublishTests
{
    private const long MostBytes = 42_000_000;

    [Fact]
    public void The_published_file_is_small_and_whole()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("DTOKD_TEST_PUBLISH") == "1", "DTOKD_TEST_PUBLISH is not 1");
        using var folder = new TemporaryFolder();
        // Apart from the build that these tests belong to.
        var (exit, output, error) = StubDriver.Start(
            "dotnet",
            ["publish", Project(), "-p:PublishProfile=linux-x64", $"-p:PublishDir={folder["publish"]}/", "--artifacts-path", folder["build"], "-v", "q", "--nologo"],
            []);
        Assert.True(exit == 0, output + error);
        string file = Assert.Single(Directory.GetFiles(folder["publish"]));
        Assert.InRange(new FileInfo(file).Length, 1, MostBytes);

        Run("cuda", "info");
        Run("regnety_160", "models");
        Run("\"median_ms\"", "bench", "step", "swin_micro", "8", "--iterations", "1");
        Run("report", "distill", "--method", "fixed,exact", "--epochs", "1", "--teacher-epochs", "1", "--output", folder["run"], "--no-progress");
        // The plots' script is in the page.
        Assert.InRange(new FileInfo(Path.Combine(folder["run"], "report.html")).Length, 1 << 20, 1 << 24);
        Run("top1", "eval", "--checkpoint", Directory.GetFiles(folder["run"], "best.safetensors", SearchOption.AllDirectories)[0], "--data", "digits", "--json");
        using var driver = new StubDriver();
        var run = driver.RunProgram(file, 8L << 30, "bench", "step", "deit_micro", "8", "--iterations", "1", "--device", "cuda");
        Assert.True(run.ExitCode == 0 && run.Count("launch") > 0, run.Error);

        void Run(string expected, params string[] arguments)
        {
            var (code, text, problem) = StubDriver.Start(file, arguments, []);
            Assert.True(code == 0, $"{string.Join(' ', arguments)}: {problem}");
            Assert.Contains(expected, text, StringComparison.OrdinalIgnoreCase);
        }
    }

    private static string Project()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "DtoKd.Pure.sln")))
            folder = folder.Parent!;
        return Path.Combine(folder.FullName, "training", "DtoKd.Cli");
    }
}
