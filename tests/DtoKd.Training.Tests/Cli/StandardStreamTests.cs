using System.Diagnostics;

namespace DtoKd.Training.Tests.Cli;

/// <summary>The program as a process whose standard streams are closed, full, or read by nobody.</summary>
public sealed class StandardStreamTests
{
    [Theory]
    [InlineData("info >&-", 1, "dtokd: the standard output is closed; direct it to /dev/null if nobody is to read it\n")]
    [InlineData("info > /dev/full", 1, "dtokd: cannot write to the standard output: No space left on device\n")]
    [InlineData("nonsense >&-", 2, "dtokd: unknown verb 'nonsense'; known are ")]
    [InlineData("nonsense 2>&-", 2, "")]
    [InlineData("nonsense 2> /dev/full", 2, "")]
    [InlineData("models --json | true", 0, "")]
    public void A_stream_that_takes_nothing_ends_in_an_exit_code_and_at_most_one_line(string arguments, int exitCode, string error)
    {
        Dtokd.RequireProcess();
        // The exit code of a pipe is that of its last part: the first one's is asked for.
        string[] command = ["-c", $"set -o pipefail; \"$0\" {arguments}", Dtokd.Executable];
        using var process = Process.Start(new ProcessStartInfo("bash", command) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.StandardOutput.ReadToEnd();
        string written = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(exitCode, process.ExitCode);
        Assert.StartsWith(error, written);
        Assert.InRange(written.Count(c => c == '\n'), 0, 1);
    }
}
