using System.CommandLine;
using DtoKd.Cli.Options;

namespace DtoKd.Cli;

/// <summary><c>dtokd distill</c></summary>
internal static class DistillCommand
{
    public static Command Create(Host host)
    {
        var command = new Command(
            "distill",
            "Trains a student from a teacher, once for each method, with the same seed and budget. Without options: the embedded "
            + "digits, four students and a table. What stands in brackets is used where nothing is given.");
        _ = new ExperimentVerb(
            host,
            command,
            [Settings.Data(), Settings.Student("--student"), .. Settings.Distillation(), .. Settings.Training()],
            defaults => defaults);
        HelpSections.Add(command, ExperimentVerb.MethodsHelp, ExperimentVerb.NetworksHelp);
        return command;
    }
}
