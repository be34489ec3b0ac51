using System.CommandLine;
using Spectre.Console;

namespace DtoKd.Cli.Display;

/// <summary>How an experiment is shown.</summary>
internal sealed class DisplayOptions
{
    private readonly Option<bool> _json = Json();

    private readonly Option<bool> _noProgress =
        new("--no-progress") { Description = "a line for every epoch instead of a progress bar, as in a pipe" };

    public static Option<bool> Json() => new("--json") { Description = "JSON for machines, one object a line, and nothing else" };

    public void AddTo(Command command)
    {
        command.Options.Add(_noProgress);
        command.Options.Add(_json);
    }

    public RunDisplay Create(ParseResult parsed, Host host)
    {
        if (parsed.GetValue(_json))
            return new JsonDisplay(host.Output);
        var console = ConsoleFor(host);
        bool canMove = host.IsTerminal && console.Profile.Capabilities is { Ansi: true, Interactive: true };
        return canMove && !parsed.GetValue(_noProgress) ? new BarDisplay(console) : new LineDisplay(console);
    }

    public static IAnsiConsole ConsoleFor(Host host)
    {
        const int AnyWidth = 1000;
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(host.Output),
            Ansi = host.IsTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = host.IsTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
        });
        // What goes to a file is not broken into the lines of a terminal that nobody looks at.
        if (!host.IsTerminal)
            console.Profile.Width = AnyWidth;
        return console;
    }
}
