using System.Diagnostics;
using System.Globalization;
using DtoKd.Tests;

namespace DtoKd.Gpu.Tests.Driver;

/// <summary>What a program did with the driver.</summary>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Output">What it wrote.</param>
/// <param name="Error">What it wrote to the standard error.</param>
/// <param name="Calls">The lines of the driver's log.</param>
public sealed record DriverRun(int ExitCode, string Output, string Error, IReadOnlyList<string> Calls)
{
    public int Count(string call) => Calls.Count(line => line.StartsWith(call + " ", StringComparison.Ordinal));
}

/// <summary>
/// A driver library without a card (<c>stub.c</c>), compiled by the system's C compiler, and programs that run on it: they list
/// the device, compile to PTX, allocate, copy and launch as on a card, but for the results.
/// </summary>
public sealed class StubDriver : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public StubDriver()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the stub of the driver is for Linux");
        try
        {
            var (exit, _, error) = Start("cc", ["-O1", "-shared", "-fPIC", "-o", _folder["libcuda.so.1"], Path.Combine(AppContext.BaseDirectory, "Driver", "stub.c"), "-lpthread"], []);
            Assert.True(exit == 0, error);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("there is no C compiler, cc, on the path");
        }
    }

    /// <summary>Where the programs keep and find what tuning found.</summary>
    public string Tuning => _folder["products.json"];

    /// <summary>Runs <c>dtokd</c> on the stub.</summary>
    /// <param name="memory">Bytes of the device.</param>
    /// <param name="arguments">The command line.</param>
    public DriverRun Run(long memory, params string[] arguments) =>
        RunProgram("dotnet", memory, ["exec", Path.Combine(AppContext.BaseDirectory, "dtokd.dll"), .. arguments]);

    /// <summary>Runs a program on the stub.</summary>
    public DriverRun RunProgram(string program, long memory, params string[] arguments)
    {
        string log = _folder["calls.log"];
        File.Delete(log);
        var (exit, output, error) = Start(program, arguments, new()
        {
            ["LD_LIBRARY_PATH"] = Path.GetDirectoryName(_folder["libcuda.so.1"]),
            ["STUB_LOG"] = log,
            ["STUB_MEMORY"] = memory.ToString(CultureInfo.InvariantCulture),
            // Of these runs, not the user's.
            ["DTOKD_TUNING"] = Tuning,
        });
        return new DriverRun(exit, output, error, File.Exists(log) ? File.ReadAllLines(log) : []);
    }

    public void Dispose() => _folder.Dispose();

    internal static (int ExitCode, string Output, string Error) Start(string program, string[] arguments, Dictionary<string, string?> environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
