using DtoKd.Cli;

namespace DtoKd.Training.Tests.Cli;

/// <summary>One call of the program, inside this process.</summary>
internal sealed record Dtokd(int ExitCode, string Output, string Error)
{
    /// <summary>The program beside the tests, for what only a process has.</summary>
    public static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, Application.Name);

    public static void RequireProcess() =>
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(Executable), "needs a shell and signals, and the program beside the tests");

    public static Dtokd Run(params string[] args) => Run(new StringWriter(), new StopRequest(), args);

    /// <summary>Stops, as Ctrl-C does, when a line of the output contains a text.</summary>
    public static Dtokd RunUntil(string text, params string[] args)
    {
        var stop = new StopRequest();
        return Run(new ActingWriter(text, () => stop.Request(DtoKd.Cli.ExitCode.Interrupted)), stop, args);
    }

    /// <summary>Does something when a line of the output contains a text.</summary>
    public static Dtokd RunThen(string text, Action act, params string[] args) => Run(new ActingWriter(text, act), new StopRequest(), args);

    private static Dtokd Run(StringWriter output, StopRequest stop, string[] args)
    {
        using var error = new StringWriter();
        int exitCode = Application.Run(args, new Host(output, error, stop, IsTerminal: false));
        stop.Dispose();
        return new Dtokd(exitCode, output.ToString(), error.ToString());
    }

    private sealed class ActingWriter(string text, Action act) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.Contains(text, StringComparison.Ordinal) is true)
                act();
        }
    }
}
