using System.Runtime.InteropServices;

namespace DtoKd.Cli;

/// <summary>Ends the work after the step under way. A second request is not held back: the process ends at once.</summary>
internal sealed class StopRequest : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _signals = [];
    private int _exitCode;

    public CancellationToken Token => _source.Token;

    /// <summary>What the program returns once it has stopped.</summary>
    public int ExitCode => _exitCode;

    public void ListenToSignals()
    {
        Listen(PosixSignal.SIGHUP, Cli.ExitCode.HungUp);
        Listen(PosixSignal.SIGINT, Cli.ExitCode.Interrupted);
        Listen(PosixSignal.SIGTERM, Cli.ExitCode.Terminated);
    }

    /// <summary>Asks to stop; false if somebody asked before.</summary>
    public bool Request(int exitCode)
    {
        if (Interlocked.CompareExchange(ref _exitCode, exitCode, 0) != 0)
            return false;
        _source.Cancel();
        return true;
    }

    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
        _source.Dispose();
    }

    private void Listen(PosixSignal signal, int exitCode) => _signals.Add(PosixSignalRegistration.Create(signal, context =>
    {
        // The end of a terminal is told twice, by the shell and by the kernel; it is no second request.
        context.Cancel = Request(exitCode) || signal == PosixSignal.SIGHUP;
        // A progress bar hides the cursor, and nobody comes to show it again.
        if (!context.Cancel && !Console.IsOutputRedirected)
            Console.Write("\e[?25h");
    }));
}
