using System.CommandLine;
using System.CommandLine.Invocation;

namespace DtoKd.Cli;

/// <summary>The program without its process: arguments and writers in, an exit code out.</summary>
internal static class Application
{
    public const string Name = "dtokd";

    private static readonly ParserConfiguration _parsing = new()
    {
        EnablePosixBundling = false,
        ResponseFileTokenReplacer = null,
    };

    public static string Version { get; } = typeof(Application).Assembly.GetName().Version!.ToString(3);

    /// <summary>Runs the program. Whatever goes wrong becomes one line and an exit code.</summary>
    public static int Run(string[] args, Host host)
    {
        try
        {
            RequireUnicode([Environment.CurrentDirectory, .. args]);
            var parsed = Commands(host).Parse(args, _parsing);
            if (parsed.Action is ParseErrorAction)
                throw UsageException.Of(parsed);
            return parsed.Invoke(new InvocationConfiguration
            {
                Output = host.Output,
                Error = host.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            });
        }
        catch (OperationCanceledException) when (host.Stop.Token.IsCancellationRequested)
        {
            host.Error.WriteLine("stopped; nothing was written");
            return host.Stop.ExitCode;
        }
        catch (Exception e)
        {
            return Failure.Report(e, host.Error);
        }
    }

    /// <summary>Refuses what the runtime could not decode: it would look for, or make, a file of another name.</summary>
    private static void RequireUnicode(string[] names)
    {
        const char Replacement = '\uFFFD';
        if (Array.Find(names, name => name.Contains(Replacement)) is { } name)
            throw new UsageException($"'{name}' is not UTF-8, and only names in UTF-8 can be opened; rename the file or folder");
    }

    private static RootCommand Commands(Host host)
    {
        var root = new RootCommand("Trains small vision models from large ones; DTO-KD chooses the weights of the objectives.")
        {
            DistillCommand.Create(host),
            TrainCommand.Create(host),
            EvalCommand.Create(host),
            VerifyCommand.Create(host),
            SelfTestCommand.Create(host),
            ToyCommand.Create(host),
            InspectCommand.Create(host),
            ConvertCommand.Create(host),
            BenchCommand.Create(host),
            TuneCommand.Create(host),
            ModelsCommand.Create(host),
            InfoCommand.Create(host),
        };
        root.Options.OfType<VersionOption>().Single().Action = new VersionAction();
        HelpSections.Add(
            root,
            ("Examples",
            [
                ("dtokd distill", "learns the embedded digits, in about a minute"),
                ("dtokd distill --help", "what can be set"),
            ]),
            ("Exit codes",
            [
                ("0", "done"),
                ("1", "failed: a loss that is not finite, a full disk"),
                ("2", "bad usage or bad input"),
                ("130, 143, 129", "stopped by Ctrl-C, SIGTERM or the end of the terminal, with the state saved"),
            ]));
        return root;
    }

    private sealed class VersionAction : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.WriteLine(Version);
            return ExitCode.Done;
        }
    }
}
