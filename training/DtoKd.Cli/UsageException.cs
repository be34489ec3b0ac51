using System.CommandLine;
using System.CommandLine.Parsing;
using DtoKd.Models;

namespace DtoKd.Cli;

/// <summary>The arguments make no sense; the message says why in one line.</summary>
internal sealed class UsageException(string message) : Exception(message)
{
    /// <summary>The first of what the parser did not understand.</summary>
    public static UsageException Of(ParseResult parsed)
    {
        string problem = Problem(parsed);
        return new UsageException($"{problem}{(problem.EndsWith('?') ? " See" : "; see")} '{Path(parsed.CommandResult)} --help'");
    }

    private static string Problem(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        bool hasVerbs = command.Subcommands.Count > 0;
        if (parsed.UnmatchedTokens is [var token, ..])
        {
            return token.StartsWith('-') ? KnownNames.Unknown("option", token, Names(command.Options))
                : hasVerbs ? KnownNames.Unknown("verb", token, Names(command.Subcommands))
                : $"'{token}' belongs to no option";
        }

        if (hasVerbs)
            return $"name a verb: {string.Join(", ", Names(command.Subcommands))}";
        var missing = command.Arguments.FirstOrDefault(argument => !argument.HasDefaultValue && parsed.GetResult(argument) is not { Tokens.Count: > 0 });
        var odd = command.Options.Select(parsed.GetResult).FirstOrDefault(option => option is { Implicit: false } && !Fits(option));
        return odd is not null ? odd.Tokens.Count == 0 ? $"{odd.Option.Name} needs {odd.Option.HelpName}" : $"{odd.Option.Name} is given more than once"
            : missing is null ? parsed.Errors[0].Message.TrimEnd('.')
            : $"{command.Name} needs {string.Join(' ', Names(command.Arguments))}; {missing.Name} is missing ({missing.Description})";
    }

    private static bool Fits(OptionResult option) =>
        option.Tokens.Count >= option.Option.Arity.MinimumNumberOfValues && option.Tokens.Count <= option.Option.Arity.MaximumNumberOfValues;

    private static string Path(CommandResult command) =>
        command.Parent is CommandResult parent ? $"{Path(parent)} {command.Command.Name}" : Application.Name;

    private static IEnumerable<string> Names(IEnumerable<Symbol> symbols) =>
        symbols.Where(symbol => !symbol.Hidden).Select(symbol => symbol.Name);
}
