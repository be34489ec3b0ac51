using System.CommandLine;

namespace DtoKd.Cli;

/// <summary>The arguments make no sense; the message says why in one line.</summary>
internal sealed class UsageException(string message) : Exception(message)
{
    /// <summary>The first of what the parser did not understand.</summary>
    public static UsageException Of(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        bool isRoot = command is RootCommand;
        string help = $"see '{Application.Name}{(isRoot ? "" : $" {command.Name}")} --help'";
        if (parsed.UnmatchedTokens is [var token, ..])
        {
            return new UsageException(
                token.StartsWith('-')
                    ? $"unknown option '{token}'; known are {Names(command.Options)}; {help}"
                    : isRoot
                        ? $"unknown verb '{token}'; known are {Names(command.Subcommands)}; {help}"
                        : $"'{token}' belongs to no option; {help}");
        }

        return new UsageException(
            isRoot && parsed.Tokens.Count == 0
                ? $"name a verb: {Names(command.Subcommands)}; {help}"
                : $"{parsed.Errors[0].Message.TrimEnd('.')}; {help}");
    }

    private static string Names(IEnumerable<Symbol> symbols) =>
        string.Join(", ", symbols.Where(symbol => !symbol.Hidden).Select(symbol => symbol.Name));
}
