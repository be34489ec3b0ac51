using System.CommandLine;
using System.Text.Json;
using DtoKd.Cli.Display;
using DtoKd.Cli.Options;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Benchmarks;

namespace DtoKd.Cli;

/// <summary><c>dtokd bench</c>: one JSON line for each measurement.</summary>
internal static class BenchCommand
{
    // Whole steps take a second where products take milliseconds.
    private const int StepIterations = 5;
    private const int OpIterations = 20;
    private const int WeighCalls = 2000;
    private const int ScalingPairs = 15;

    // What is more than that is a slip, and would not be noticed before hours of filling memory.
    private const int MostOfAll = 1 << 24;

    // Three gradients of them are 6 GiB.
    private const int MostParameters = 1 << 29;

    // Far beyond any cache, and small enough for a laptop.
    private const int CopiedMebibytes = 512;

    public static Command Create(Host host)
    {
        var model = Parsing.TextArgument("MODEL", "network of the zoo");
        var teacher = Parsing.TextArgument("TEACHER", "network of the zoo");
        var student = Parsing.TextArgument("STUDENT", "network of the zoo");
        var op = Parsing.TextArgument("NAME", string.Join(", ", OpWorkload.Names));
        var batch = Count("BATCH", "images");
        var (m, n, k) = (Count("M", "rows"), Count("N", "columns"), Count("K", "terms of a sum"));
        var size = Count("MIB", "size of a block");
        size.DefaultValueFactory = _ => CopiedMebibytes;
        var check = new Option<bool>("--check") { Description = "compares some elements with sums in double precision; exit code 1 if they differ" };
        var method = Parsing.Text("--method", "NAME", "how the two objectives are weighed [fixed]");
        method.DefaultValueFactory = _ => "fixed";
        var dropPath = Parsing.Real("--drop-path", "rate of stochastic depth; 0 is the whole work, as peers do it");
        dropPath.DefaultValueFactory = _ => 0;
        return new Command("bench", "Times operations and whole training steps, one JSON line each.")
        {
            Timed(host, "gemm", "One product [M, K] x [K, N].", OpIterations, [m, n, k], [check],
                (device, parsed) => new GemmWorkload(device, parsed.GetValue(m), parsed.GetValue(n), parsed.GetValue(k)),
                (workload, parsed) => !parsed.GetValue(check) || IsRight(host, (GemmWorkload)workload)),
            Timed(host, "copy", "One block of memory to another; what is read and what is written counts.", OpIterations, [size], [],
                (device, parsed) => new CopyWorkload(device, parsed.GetValue(size))),
            Timed(host, "step", "Training on labels: forward, backward, AdamW.", StepIterations, [model, batch], [dropPath],
                (device, parsed) => TrainingWorkload.Step(device, parsed.GetValue(model)!, parsed.GetValue(batch), parsed.GetValue(dropPath))),
            Timed(host, "forward", "Answers without gradients.", StepIterations, [model, batch], [],
                (device, parsed) => new ForwardWorkload(device, parsed.GetValue(model)!, parsed.GetValue(batch))),
            Timed(host, "kd", "Training on labels and a teacher's answers.", StepIterations, [teacher, student, batch], [method, dropPath],
                (device, parsed) => TrainingWorkload.Distillation(
                    device, parsed.GetValue(teacher)!, parsed.GetValue(student)!, parsed.GetValue(batch), parsed.GetValue(method)!,
                    parsed.GetValue(dropPath))),
            Timed(host, "op", "One operation, forward and backward.", OpIterations, [op, batch], [],
                (device, parsed) => new OpWorkload(device, parsed.GetValue(op)!, parsed.GetValue(batch))),
            Threads(host),
            Balance(host),
            Peak(host),
        };
    }

    private static Command Timed(
        Host host,
        string name,
        string summary,
        int defaultIterations,
        Argument[] arguments,
        Option[] options,
        Func<Device, ParseResult, Workload> prepare,
        Func<Workload, ParseResult, bool>? isRight = null)
    {
        var iterations = Parsing.Whole<int>("--iterations", "timed runs; a quarter as many come before, untimed");
        iterations.DefaultValueFactory = _ => defaultIterations;
        var profile = new Option<bool>("--profile") { Description = "where the time of a run goes, by operation, on standard error" };
        var device = new DeviceOptions();
        var command = new Command(name, summary);
        foreach (var argument in arguments)
            command.Arguments.Add(argument);
        foreach (var option in options)
            command.Options.Add(option);
        command.Options.Add(iterations);
        command.Options.Add(profile);
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            foreach (var argument in arguments.OfType<Argument<int>>())
                Require(argument.Name, parsed.GetValue(argument));
            foreach (var rate in options.OfType<Option<double>>())
                RequireRate(rate.Name, parsed.GetValue(rate));
            int runs = Require("--iterations", parsed.GetValue(iterations));
            using var where = device.Open(parsed, host);
            using var workload = prepare(where, parsed);
            var times = where.Profile = parsed.GetValue(profile) ? new OpProfile() : null;
            host.Output.WriteLine(Measurement.Of(where, workload, runs, host.Stop.Token).ToJson());
            runs *= workload.Repeats;
            foreach (var (op, time, calls) in times?.Entries ?? [])
                host.Error.WriteLine(FormattableString.Invariant($"{time.TotalMilliseconds / runs,10:F2} ms {calls / runs,6} x {op}"));
            return isRight is null || isRight(workload, parsed) ? ExitCode.Done : ExitCode.Failed;
        });
        return command;
    }

    private static bool IsRight(Host host, GemmWorkload workload)
    {
        double error = workload.LargestError();
        bool isRight = error <= workload.ErrorLimit;
        host.Output.WriteLine(JsonSerializer.Serialize(new
        {
            engine = Application.Name,
            what = $"check {workload.Name}",
            error = double.IsFinite(error) ? error : (double?)null,
            limit = workload.ErrorLimit,
            right = isRight,
        }));
        return isRight;
    }

    private static Command Threads(Host host)
    {
        var model = Parsing.TextArgument("MODEL", "network of the zoo");
        var batch = Count("BATCH", "images");
        var iterations = Parsing.Whole<int>("--iterations", "timed runs of each; two come before, untimed");
        iterations.DefaultValueFactory = _ => ScalingPairs;
        var threads = Parsing.Whole<int>("--threads", $"the team that is compared with one thread [{Environment.ProcessorCount}]");
        threads.DefaultValueFactory = _ => Environment.ProcessorCount;
        var command = new Command("threads", "A training step on one thread and on all, turn by turn.") { model, batch, iterations, threads };
        command.SetAction(parsed =>
        {
            int images = Require("BATCH", parsed.GetValue(batch)), pairs = Require("--iterations", parsed.GetValue(iterations));
            int count = parsed.GetValue(threads);
            DeviceOptions.RequireThreads(count);
            if (count == 1)
                throw new UsageException($"{threads.Name} is 1; one thread is compared with several");
            using CpuDevice one = new(1), team = new(count);
            var scaling = ScalingBenchmark.Run(
                one, team, device => TrainingWorkload.Step(device, parsed.GetValue(model)!, images, dropPath: 0), pairs, host.Stop.Token);
            host.Output.WriteLine(JsonSerializer.Serialize(new
            {
                engine = Application.Name,
                what = $"threads {scaling.What}",
                threads = scaling.Threads,
                pairs = scaling.Pairs,
                one_ms = Math.Round(scaling.OneMilliseconds, 3),
                team_ms = Math.Round(scaling.TeamMilliseconds, 3),
                ratio = Math.Round(scaling.Ratio, 3),
                near_pairs = scaling.NearPairs,
                near_ratio = scaling.NearRatio is { } near ? Math.Round(near, 3) : (double?)null,
                exchange_ns = new[] { scaling.LeastExchange, scaling.MostExchange }.Select(Nanoseconds),
            }));
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Balance(Host host)
    {
        var calls = Parsing.Whole<int>("--calls", "calls of a rule in each timed run");
        calls.DefaultValueFactory = _ => WeighCalls;
        var parameters = Parsing.Whole<int>("--parameters", "length of the gradients whose Gram matrix is timed");
        parameters.DefaultValueFactory = _ => BalanceBenchmark.GramParameters;
        var json = DisplayOptions.Json();
        var device = new DeviceOptions();
        var command = new Command("balance", "Weighing 2, 3 and 8 objectives by every method, and the Gram matrix of 3 gradients.")
        {
            calls, parameters,
        };
        device.AddTo(command);
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            int count = Require("--calls", parsed.GetValue(calls)), length = Require("--parameters", parsed.GetValue(parameters), MostParameters);
            using var where = device.Open(parsed, host);
            foreach (var timing in BalanceBenchmark.Run(where, count, length, host.Stop.Token))
                host.Output.WriteLine(parsed.GetValue(json) ? Line(where, timing) : Row(timing));
            return ExitCode.Done;
        });
        return command;
    }

    private static string Line(Device device, BalanceTiming timing) => JsonSerializer.Serialize(new
    {
        engine = Application.Name,
        what = $"balance {timing.What}",
        threads = ThreadsOf(device),
        objectives = timing.Objectives,
        microseconds = Math.Round(timing.Microseconds, 3),
        bytes_per_call = Math.Round(timing.Bytes, 1),
        share_of_copy = timing.ShareOfCopy,
    });

    private static string Row(BalanceTiming timing)
    {
        string share = timing.ShareOfCopy is { } copy ? $"  {Figures.Percent(copy)} of copying" : "";
        return FormattableString.Invariant(
            $"{timing.What,-20} K = {timing.Objectives}  {timing.Microseconds,12:F2} us  {timing.Bytes,10:F0} bytes a call{share}");
    }

    private static Command Peak(Host host)
    {
        var device = new DeviceOptions();
        var command = new Command("peak", "What the device can do at most: multiply-adds on registers, copying in memory, handing a line of the cache from core to core.");
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            using var where = device.Open(parsed, host);
            host.Output.WriteLine(JsonSerializer.Serialize(new
            {
                engine = Application.Name,
                what = "peak",
                device = where.Name,
                threads = ThreadsOf(where),
                simd = where is CpuDevice cpu ? DeviceOptions.Name(cpu.Simd) : null,
                gflop_per_s = Math.Round(MachinePeak.FlopsPerSecond(where) / 1e9, 1),
                copy_gb_per_s = Math.Round(MachinePeak.CopyBytesPerSecond(where) / 1e9, 1),
                exchange_ns = Nanoseconds(MachinePeak.ExchangeSeconds(where)),
            }));
            return ExitCode.Done;
        });
        return command;
    }

    private static double? Nanoseconds(double? seconds) => seconds is { } value ? Math.Round(value * 1e9) : null;

    private static int ThreadsOf(Device device) => (device as CpuDevice)?.Team.Threads ?? 1;

    private static Argument<int> Count(string name, string description) => Parsing.WholeArgument(name, description);

    private static void RequireRate(string name, double value)
    {
        if (!(value is >= 0 and < 1))
            throw new UsageException(FormattableString.Invariant($"{name} is {value}; it has to be at least 0 and below 1"));
    }

    private static int Require(string name, int value, int most = MostOfAll) =>
        value >= 1 && value <= most ? value : throw new UsageException($"{name} is {value}; it has to be in 1 .. {most}");
}
