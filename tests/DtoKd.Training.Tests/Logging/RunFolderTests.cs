using System.Runtime.Versioning;
using DtoKd.Tests;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Tests.Logging;

public sealed class RunFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_new_or_empty_folder_is_taken()
    {
        Directory.CreateDirectory(_folder["empty"]);
        Assert.Equal(_folder["empty"], RunFolder.Create("x", _folder["empty"]).FullPath);
        Assert.True(Directory.Exists(RunFolder.Create("x", _folder["a/b/new"]).FullPath));
    }

    [Fact]
    public void A_folder_that_holds_something_is_refused_in_one_line_and_left_alone()
    {
        string path = _folder["run"];
        Directory.CreateDirectory(path);
        File.WriteAllText(Path.Combine(path, "config.json"), "precious");
        var error = Assert.Throws<InvalidDataException>(() => RunFolder.Create("x", path));
        Assert.Equal($"the run folder {path} is not empty; name another one or resume that run", error.Message);
        Assert.Equal("precious", File.ReadAllText(RunFolder.Open(path).Config));
    }

    [Fact]
    public void A_file_in_its_place_is_refused()
    {
        File.WriteAllText(_folder["run"], "");
        Assert.Contains("is a file", Assert.Throws<InvalidDataException>(() => RunFolder.Create("x", _folder["run"])).Message);
    }

    [Fact]
    public void The_default_name_has_the_time_in_utc_and_the_runs_name()
    {
        // The default is relative to the working folder, which tests share: only the name is looked at, and the folder removed.
        var folder = RunFolder.Create("Fashion MNIST: 2 epochs",
            clock: new FixedClock(new(2026, 1, 31, 23, 5, 9, TimeSpan.FromHours(-2))));
        try
        {
            Assert.EndsWith(Path.Combine("runs", "20260201-010509-Fashion-MNIST-2-epochs"), folder.FullPath);
            var second = RunFolder.Create("Fashion MNIST: 2 epochs",
                clock: new FixedClock(new(2026, 1, 31, 23, 5, 9, TimeSpan.FromHours(-2))));
            Assert.Equal(folder.FullPath + "-2", second.FullPath);
            Directory.Delete(second.FullPath);
        }
        finally
        {
            Directory.Delete(folder.FullPath);
        }
    }

    // Listed but not searched; neither.
    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite)]
    [InlineData(UnixFileMode.None)]
    [UnsupportedOSPlatform("windows")]
    public void A_folder_that_may_not_be_read_is_not_said_to_hold_no_run(UnixFileMode mode)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "permissions bind neither root nor Windows");
        var folder = RunFolder.Create("x", _folder["run"]);
        File.WriteAllText(folder.Config, "{}");
        File.SetUnixFileMode(folder.FullPath, mode);
        try
        {
            Assert.Equal(
                $"the run folder {folder.FullPath} may not be read",
                Assert.Throws<UnauthorizedAccessException>(() => RunFolder.Open(folder.FullPath)).Message);
        }
        finally
        {
            File.SetUnixFileMode(folder.FullPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    [Fact]
    public void A_report_is_moved_aside_only_if_its_metrics_are_gone()
    {
        var folder = RunFolder.Create("x", _folder["run"]);
        Assert.Null(folder.KeepReport());
        foreach (string curves in new[] { "first", "second" })
        {
            File.WriteAllText(folder.Report, curves);
            File.WriteAllText(folder.Metrics, "");
            Assert.Null(folder.KeepReport());
            File.Delete(folder.Metrics);
            Assert.Equal(curves, File.ReadAllText(folder.KeepReport()!));
            Assert.False(File.Exists(folder.Report));
        }

        Assert.Equal(2, Directory.GetFiles(folder.FullPath).Length);
    }

    [Fact]
    public void Students_have_folders_of_their_own()
    {
        var folder = RunFolder.Create("x", _folder["run"]);
        Assert.Equal(_folder["run/checkpoints/dto-kd-exact"], folder.CheckpointsOf("dto-kd exact"));
        Assert.Equal(folder.CheckpointsOf("dto-kd exact"), folder.CheckpointsOf("dto-kd exact"));
        Assert.Contains("would share", Assert.Throws<ArgumentException>(() => folder.CheckpointsOf("DTO-KD exact")).Message);
    }

    [Theory]
    [InlineData("digits", "digits")]
    [InlineData("../../etc/passwd", "etc-passwd")]
    [InlineData("..", "run")]
    [InlineData("a\\b:c*d\n", "a-b-c-d")]
    [InlineData("1/2 – 1/2", "1-2-1-2")]
    [InlineData("", "run")]
    public void Names_become_safe_file_names(string name, string expected) => Assert.Equal(expected, RunFolder.FileName(name));

    [Fact]
    public void Only_a_folder_with_a_run_is_opened()
    {
        Assert.Contains("does not exist", Assert.Throws<InvalidDataException>(() => RunFolder.Open(_folder["none"])).Message);
        Assert.Contains("is a file; name the run's folder", Assert.Throws<InvalidDataException>(() => RunFolder.Open(_folder.Write("state", [1]))).Message);
        Assert.Contains("holds no run", Assert.Throws<InvalidDataException>(() => RunFolder.Open(_folder.FullName)).Message);
    }

    private sealed class FixedClock(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now.ToUniversalTime();
    }
}
