using System.CommandLine;
using DtoKd.Cli.Options;

namespace DtoKd.Cli;

/// <summary><c>dtokd train</c></summary>
internal static class TrainCommand
{
    public static Command Create(Host host)
    {
        var command = new Command(
            "train",
            "Trains a network from labels alone, such as a teacher. What stands in brackets is used where nothing is given.");
        _ = new ExperimentVerb(
            host,
            command,
            [Settings.Data(), Settings.Student("--model"), .. Settings.Training()],
            defaults => defaults with { Teachers = [], Methods = ["none"], DiagnosticsEvery = 0 });
        HelpSections.Add(command, ExperimentVerb.NetworksHelp);
        return command;
    }
}
