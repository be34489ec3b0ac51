using System.Diagnostics;
using DtoKd.Tests;

namespace DtoKd.Training.Tests.Cli;

/// <summary>The program as a process that is asked to stop.</summary>
public sealed class SignalTests : IDisposable
{
    private readonly TemporaryFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(130, "INT")]
    [InlineData(143, "TERM")]
    [InlineData(129, "HUP", "HUP")]
    public void A_signal_stops_a_training_with_its_state_saved(int exitCode, params string[] signals)
    {
        Dtokd.RequireProcess();
        string[] train = ["train", "--epochs", "1000", "--threads", "1", "--output", _temp["run"]];
        using var process = Process.Start(new ProcessStartInfo(Dtokd.Executable, train) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch 1/1000", StringComparison.Ordinal))
        {
        }

        foreach (string signal in signals)
        {
            using var kill = Process.Start("bash", ["-c", $"kill -{signal} {process.Id}"]);
            kill.WaitForExit();
        }

        process.StandardOutput.ReadToEnd();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Matches(@"^stopped at step \d+ of run regnety_nano; go on with: dtokd train --resume .*\n$", error);
        Assert.Equal(exitCode, process.ExitCode);
        Assert.True(File.Exists(Path.Combine(_temp["run"], "checkpoints", "regnety_nano", "state.safetensors")));
    }
}
