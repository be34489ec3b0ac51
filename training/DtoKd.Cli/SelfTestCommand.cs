using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Engine;
using DtoKd.Training.Verification;

namespace DtoKd.Cli;

/// <summary><c>dtokd selftest</c>: what a user runs first on a new machine.</summary>
internal static class SelfTestCommand
{
    // Each leaves a device that no longer answers: past this, something is wrong with all of it.
    private const int MostBreakdowns = 10;

    // A kernel that never ends cannot be stopped but with the process.
    private static readonly TimeSpan _longest = TimeSpan.FromMinutes(5);

    public static Command Create(Host host)
    {
        var only = Parsing.Text("--only", "NAME", "operations and networks with this in their name");
        var json = DisplayOptions.Json();
        var device = new DeviceOptions();
        var command = new Command(
            "selftest",
            "Compares every operation on a device with a reference in double precision, and short trainings with the processor's.")
        {
            only,
        };
        device.AddTo(command);
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            string part = parsed.GetValue(only) ?? "";
            var checks = OpChecks.All().Concat(ModelChecks.All())
                .Where(check => check.Subject.Contains(part, StringComparison.OrdinalIgnoreCase))
                .ToList();
            if (checks.Count == 0)
                throw new UsageException($"--only: no operation and no network has '{part}' in its name");
            using var run = new Checked(host, () => device.Open(parsed, host));
            if (!parsed.GetValue(json))
                host.Output.WriteLine($"{run.Device.Name}: {checks.Count} checks");
            foreach (var subject in checks.GroupBy(check => check.Subject))
            {
                var results = subject.Select(check => run.Run(check, parsed.GetValue(json))).ToList();
                if (!parsed.GetValue(json))
                    host.Output.WriteLine(Row(subject.Key, results));
            }

            if (!parsed.GetValue(json))
                host.Output.WriteLine(run.Summary);
            return run.Failed == 0 ? ExitCode.Done : ExitCode.Failed;
        });
        HelpSections.Add(
            command,
            ("Exit codes", [("0", "every check passed"), ("1", "otherwise"), ("2", "the device cannot be used")]));
        return command;
    }

    private static string Row(string subject, List<Result> results)
    {
        var ran = results.Where(result => result.Outcome is not null).Select(result => result.Outcome!.Value).ToList();
        string error = "", allowed = "";
        if (ran.Count > 0)
        {
            var worst = ran.Aggregate(DeviceCheckOutcome.Worse);
            (error, allowed) = (Number(worst.Error), Number(worst.Allowed));
        }

        double seconds = results.Sum(result => result.Seconds);
        string text = results.All(result => result.Passes) ? "ok" : "FAILED";
        string row = string.Create(
            CultureInfo.InvariantCulture, $"{subject,-32} {results.Count,4}  {error,8} of {allowed,-8} {seconds,7:F2} s  {text}");
        return string.Join(Environment.NewLine, [row, .. results.Where(result => !result.Passes)
            .Select(result => $"  {result.Name}: {result.Text}")]);
    }

    private static string Number(double value) => value.ToString("0.0e+00", CultureInfo.InvariantCulture);

    private sealed record Result(string Name, bool Passes, DeviceCheckOutcome? Outcome, string Text, double Seconds);

    /// <summary>The run: a device that broke is opened anew, as an error on a card ends everything that was open on it.</summary>
    private sealed class Checked(Host host, Func<Device> open) : IDisposable
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private int _passed;
        private int _breakdowns;

        public Device Device { get; private set; } = open();

        public int Failed { get; private set; }

        public string Summary =>
            FormattableString.Invariant($"{_passed} passed, {Failed} failed in {_clock.Elapsed.TotalSeconds:F1} s");

        public Result Run(DeviceCheck check, bool json)
        {
            host.Stop.Token.ThrowIfCancellationRequested();
            using var limit = new Timer(_ => GiveUp(check), null, _longest, Timeout.InfiniteTimeSpan);
            long start = Stopwatch.GetTimestamp();
            var result = Outcome(check) with { Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
            if (result.Passes)
                _passed++;
            else
                Failed++;
            if (json)
            {
                host.Output.WriteLine(JsonSerializer.Serialize(new
                {
                    subject = check.Subject,
                    check = check.Name,
                    verdict = result.Passes ? "passed" : "failed",
                    error = result.Outcome is { } outcome && double.IsFinite(outcome.Error) ? outcome.Error : (double?)null,
                    allowed = result.Outcome?.Allowed,
                    text = result.Text,
                    seconds = Math.Round(result.Seconds, 4),
                }));
            }

            return result;
        }

        public void Dispose() => Close();

        private void GiveUp(DeviceCheck check)
        {
            host.Error.WriteLine(
                $"{Application.Name}: {check.Subject}, {check.Name}, does not end on {Device.Name} within {_longest.TotalMinutes} minutes");
            Environment.Exit(ExitCode.Failed);
        }

        private Result Outcome(DeviceCheck check)
        {
            try
            {
                var outcome = check.Run(Device);
                return new(check.Name, outcome.Passes, outcome, outcome.Where, 0);
            }
            catch (NotSupportedException failure)
            {
                // Refused before anything was launched: the device goes on.
                return new(check.Name, false, null, failure.Message, 0);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                if (++_breakdowns > MostBreakdowns)
                    throw new IOException($"{Device.Name} broke down {_breakdowns} times, last in {check.Subject}, {check.Name}: {failure.Message}", failure);
                Close();
                Device = open();
                return new(check.Name, false, null, $"{failure.GetType().Name}: {failure.Message.ReplaceLineEndings(" ")}", 0);
            }
        }

        private void Close()
        {
            try
            {
                Device.Dispose();
            }
            catch (Exception failure)
            {
                // A card that broke down refuses to be closed too; its own error has been told.
                Debug.WriteLine(failure);
            }
        }
    }
}
