using System.CommandLine;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Logging;
using DtoKd.Training.Loop;

namespace DtoKd.Cli;

/// <summary>What the verbs that run an <see cref="Experiment"/> have in common.</summary>
internal sealed class ExperimentVerb
{
    private readonly Host _host;
    private readonly Command _command;
    private readonly IReadOnlyList<Setting> _settings;
    private readonly Func<ExperimentSettings, ExperimentSettings> _defaults;
    private readonly DeviceOptions _device = new();
    private readonly DisplayOptions _display = new();

    private readonly Option<string> _output =
        Parsing.Text("--output", "DIR", "folder for the results, new or empty [runs/<time>-<data>]");

    private readonly Option<string> _resume =
        Parsing.Text("--resume", "DIR", "go on with a stopped run of that folder, with the settings it has");

    private readonly Option<bool> _detectAnomaly = new("--detect-anomaly")
    {
        Description = "stop at the first operation that gives NaN or infinity, and name it; slow",
    };

    /// <summary>Makes a verb.</summary>
    /// <param name="host">Where to write.</param>
    /// <param name="command">Its name and description.</param>
    /// <param name="settings">What can be set, the data first.</param>
    /// <param name="defaults">What the verb makes of a data set's defaults.</param>
    public ExperimentVerb(
        Host host, Command command, IReadOnlyList<Setting> settings, Func<ExperimentSettings, ExperimentSettings> defaults)
    {
        (_host, _command, _settings, _defaults) = (host, command, settings, defaults);
        foreach (var setting in settings)
            command.Options.Add(setting.Option);
        command.Options.Add(_output);
        command.Options.Add(_resume);
        command.Options.Add(_detectAnomaly);
        _device.AddTo(command);
        _display.AddTo(command);
        command.SetAction(Run);
    }

    public static (string, (string, string)[]) NetworksHelp { get; } =
        ("Networks", [.. Zoo.Entries.Select(entry => (entry.Name, entry.Summary))]);

    public static (string, (string, string)[]) MethodsHelp { get; } =
        ("Methods", [.. BalancerRegistry.Entries.Select(entry => (entry.Name, entry.Summary))]);

    private int Run(ParseResult parsed)
    {
        var earlier = parsed.GetValue(_resume) is { } path ? Earlier(parsed, path) : null;
        var settings = earlier is null ? Given(parsed) : ConfigFile.Read<ExperimentSettings>(earlier.Config);
        using var device = _device.Open(parsed, _host);
        var display = _display.Create(parsed, _host);
        var experiment = new Experiment(settings, device, display) { DetectAnomaly = parsed.GetValue(_detectAnomaly) };
        _host.Stop.Token.ThrowIfCancellationRequested();
        var folder = earlier ?? NewFolder(parsed, settings);
        using var held = folder.Hold();
        if (earlier is null)
            ConfigFile.Write(folder.Config, settings);
        else if (folder.KeepReport() is { } kept)
            _host.Error.WriteLine($"{Paths.Shown(folder.Metrics)} is gone: the report of what it held is kept as {Paths.Shown(kept)}");
        string goOn = $"go on with: {Application.Name} {_command.Name} --resume {Paths.Typed(folder.FullPath)}";
        try
        {
            display.Begin(folder);
            var summary = display.Watch(() => experiment.Run(folder, _host.Stop.Token));
            display.End(summary, folder);
            return ExitCode.Done;
        }
        catch (OperationCanceledException) when (_host.Stop.Token.IsCancellationRequested)
        {
            _host.Error.WriteLine($"stopped at step {display.Step} of run {display.Run}; {goOn}");
            return _host.Stop.ExitCode;
        }
        catch (Exception failure) when (failure is TrainingDivergedException or AnomalyException)
        {
            string hint = failure is AnomalyException ? "a lower --lr may help" : "a lower --lr may help, --detect-anomaly names the operation";
            return Failure.Report(failure, _host.Error, $"{Checkpoint(folder, display.Run)}; {hint}");
        }
        catch (Exception failure) when (failure is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return Failure.Report(failure, _host.Error, File.Exists(folder.Config) ? goOn : $"the run folder {Paths.Shown(folder.FullPath)} is gone: begin anew");
        }
    }

    private RunFolder Earlier(ParseResult parsed, string path)
    {
        Option? given = _settings.FirstOrDefault(setting => setting.IsGiven(parsed))?.Option
            ?? (parsed.GetValue(_output) is null ? null : _output);
        return given is null
            ? RunFolder.Open(path)
            : throw new UsageException($"{given.Name} cannot be given beside --resume: a run goes on with the settings it has");
    }

    private ExperimentSettings Given(ParseResult parsed)
    {
        // The other defaults depend on the data.
        var settings = _settings[0].Apply(ExperimentSettings.DefaultsFor("digits"), parsed);
        settings = _defaults(ExperimentSettings.DefaultsFor(DataSource.Parse(settings.Data).Name));
        settings = _settings.Aggregate(settings, (current, setting) => setting.Apply(current, parsed));
        foreach (var setting in _settings.Where(setting => setting.IsGiven(parsed)))
        {
            if (setting.Idle(settings) is { } reason)
                throw new UsageException($"{setting.Option.Name} changes nothing: {reason}");
        }

        return settings;
    }

    private RunFolder NewFolder(ParseResult parsed, ExperimentSettings settings)
    {
        string? output = parsed.GetValue(_output);
        try
        {
            return RunFolder.Create(DataSource.Parse(settings.Data).Name, output);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            string reason = failure is UnauthorizedAccessException ? "there is no permission to write there" : failure.Message.TrimEnd('.');
            throw new UsageException($"cannot make the run folder {output ?? "runs"}: {reason}; --output names another place");
        }
    }

    private static string Checkpoint(RunFolder folder, string run)
    {
        string last = Path.Combine(folder.CheckpointsOf(run), CheckpointFiles.Last);
        return File.Exists(last)
            ? $"the last checkpoint of run '{run}' is {Paths.Shown(last)}"
            : $"run '{run}' has no checkpoint yet";
    }
}
