namespace DtoKd.Cli;

/// <summary>What the program writes to, and who may stop it.</summary>
/// <param name="Output">What was asked for.</param>
/// <param name="Error">One line when something is wrong.</param>
/// <param name="Stop">Ctrl-C, SIGTERM, and the end of the terminal.</param>
/// <param name="IsTerminal">Whether somebody watches <paramref name="Output"/>.</param>
internal sealed record Host(TextWriter Output, TextWriter Error, StopRequest Stop, bool IsTerminal);

/// <summary>What the program returns.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int BadInput = 2;

    // As shells report a process that ended by the signal: 128 and its number.
    public const int HungUp = 129;
    public const int Interrupted = 130;
    public const int Terminated = 143;
}
