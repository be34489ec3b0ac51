using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace DtoKd.Cli;

/// <summary>Adds tables below a command's help, not below that of the verbs in it.</summary>
internal static class HelpSections
{
    public static void Add(Command command, params (string Title, (string Name, string Summary)[] Rows)[] sections)
    {
        var help = command.Options.OfType<HelpOption>().SingleOrDefault();
        if (help is null)
            command.Options.Add(help = new HelpOption());
        help.Action = new SectionsAction(command, (HelpAction)help.Action!, sections);
    }

    private sealed class SectionsAction(
        Command command, HelpAction help, (string Title, (string Name, string Summary)[] Rows)[] sections) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int result = help.Invoke(parseResult);
            var output = parseResult.InvocationConfiguration.Output;
            foreach (var (title, rows) in parseResult.CommandResult.Command == command ? sections : [])
            {
                output.WriteLine($"{title}:");
                int width = rows.Max(row => row.Name.Length);
                foreach (var (name, summary) in rows)
                    output.WriteLine($"  {name.PadRight(width)}  {summary}");
                output.WriteLine();
            }

            return result;
        }
    }
}
