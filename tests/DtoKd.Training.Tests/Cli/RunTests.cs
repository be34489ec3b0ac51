using System.Text;
using System.Text.Json;
using DtoKd.Tests;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Tests.Cli;

public sealed class RunTests(RunTests.SmallRun run) : IClassFixture<RunTests.SmallRun>, IDisposable
{
    private readonly TemporaryFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_run_leaves_its_settings_metrics_report_and_checkpoints()
    {
        Assert.Equal("", run.Result.Error);
        Assert.Equal(0, run.Result.ExitCode);
        Assert.All(
            new[]
            {
                "config.json", "metrics.jsonl", "report.html", "checkpoints/teacher/last.safetensors",
                "checkpoints/exact/last.safetensors", "checkpoints/exact/best.safetensors", "checkpoints/exact/state.safetensors",
            },
            name => Assert.True(File.Exists(Path.Combine(run.Folder, name)), name));
    }

    [Fact]
    public void In_a_pipe_there_is_a_line_for_every_epoch_and_a_table()
    {
        Assert.Contains("teacher  epoch 1/1  task ", run.Result.Output);
        Assert.Contains("exact  epoch 1/1  feature ", run.Result.Output);
        Assert.Matches(@"exact +\d+\.\d\d % +\d+\.\d{4} ", run.Result.Output);
        Assert.Contains("teacher regnety_nano: top-1 ", run.Result.Output);
        Assert.Contains("report.html", run.Result.Output);
        Assert.DoesNotContain("\e", run.Result.Output);
    }

    [Fact]
    public void Json_is_one_object_a_line_and_nothing_else()
    {
        var result = Dtokd.Run([.. Train, "--epochs", "2", "--batch-size", "512", "--json"]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var lines = result.Output.TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["epoch", "epoch", "results"], lines.Select(line => line.GetProperty("kind").GetString()));
        Assert.Equal([1, 2], lines.Take(2).Select(line => line.GetProperty("epoch").GetInt32()));
        var trained = Assert.Single(lines[2].GetProperty("runs").EnumerateArray());
        Assert.Equal("regnety_nano", trained.GetProperty("run").GetString());
        Assert.Equal(lines[1].GetProperty("top1").GetDouble(), trained.GetProperty("top1").GetDouble());
        Assert.True(File.Exists(trained.GetProperty("checkpoint").GetString()));
        Assert.True(File.Exists(lines[2].GetProperty("report").GetString()));
    }

    [Theory]
    [InlineData(true, "--flip")]
    [InlineData(true, "--flip", "true")]
    [InlineData(false, "--flip=False")]
    public void A_switch_stands_alone_or_has_its_value(bool expected, params string[] flip)
    {
        Assert.Equal(0, Dtokd.Run([.. Train, "--epochs", "1", "--batch-size", "1437", .. flip]).ExitCode);
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(_temp["run"], "config.json")));
        Assert.Equal(expected, config.RootElement.GetProperty("flip").GetBoolean());
    }

    [Fact]
    public void A_stopped_run_says_how_to_go_on_and_does()
    {
        var stopped = Dtokd.RunUntil("epoch 2/3", [.. Train, "--epochs", "3", "--batch-size", "512"]);
        Assert.Equal(130, stopped.ExitCode);
        Assert.Equal(
            $"stopped at step 4 of run regnety_nano; go on with: dtokd train --resume {_temp["run"]}\n", stopped.Error);

        var resumed = Dtokd.Run("train", "--resume", _temp["run"]);
        Assert.Equal((0, ""), (resumed.ExitCode, resumed.Error));
        Assert.Contains("4 done before", resumed.Output);
        var metrics = MetricsFile.Read(Path.Combine(_temp["run"], "metrics.jsonl"));
        Assert.Equal([1, 2, 3, 4, 5, 6], metrics.Steps.Select(step => step.Step));
        Assert.Equal([1, 2, 3], metrics.Epochs.Select(epoch => epoch.Epoch));
    }

    [Theory]
    [InlineData("\"steps\":\"2", "\"steps\":\"x", "is not the state of a run: it does not say how many steps were done")]
    [InlineData("\"best\":\"0", "\"best\":\"x", "is not the state of a run: it does not say the best accuracy")]
    [InlineData("\"balancer\":\"none", "\"balancer\":\"dwa_", "is of a run weighed by 'dwa_', not 'none'")]
    [InlineData("\"layout\":\"", "\"layoux\":\"", "does not fit this run: its parameters are of another network")]
    public void A_state_that_is_damaged_or_of_another_run_is_refused_and_stays_as_it_is(string there, string instead, string expected)
    {
        Assert.Equal(0, Dtokd.Run([.. Train, "--epochs", "1", "--batch-size", "512"]).ExitCode);
        string state = Path.Combine(_temp["run"], "checkpoints", "regnety_nano", "state.safetensors");
        byte[] bytes = File.ReadAllBytes(state);
        int at = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(there));
        Encoding.UTF8.GetBytes(instead, bytes.AsSpan(at));
        File.WriteAllBytes(state, bytes);

        var resumed = Dtokd.Run("train", "--resume", _temp["run"]);
        Assert.Equal(2, resumed.ExitCode);
        Assert.Single(resumed.Error.TrimEnd('\n').Split('\n'));
        Assert.Contains($"{state} {expected}", resumed.Error);
        Assert.Equal(bytes, File.ReadAllBytes(state));
    }

    [Fact]
    public void A_state_that_was_cut_off_says_what_is_left_and_without_it_the_run_begins_again()
    {
        Assert.Equal(0, Dtokd.Run([.. Train, "--epochs", "1", "--batch-size", "512"]).ExitCode);
        string state = Path.Combine(_temp["run"], "checkpoints", "regnety_nano", "state.safetensors");
        byte[] whole = File.ReadAllBytes(state);
        File.WriteAllBytes(state, whole[..^100]);
        var resumed = Dtokd.Run("train", "--resume", _temp["run"]);
        Assert.Equal(2, resumed.ExitCode);
        Assert.StartsWith($"dtokd: {state}: ", resumed.Error);
        Assert.EndsWith(
            "it is cut short; the network is in best.safetensors and last.safetensors beside it; without this file the run begins again "
            + "at its first step, and finished runs of the folder stay; "
            + $"go on with: dtokd train --resume {_temp["run"]}\n",
            resumed.Error);

        File.Delete(state);
        Assert.Equal(0, Dtokd.Run("train", "--resume", _temp["run"]).ExitCode);
        Assert.Equal(whole, File.ReadAllBytes(state));
    }

    [Fact]
    public void A_run_whose_metrics_are_gone_keeps_the_report_of_them()
    {
        Assert.Equal(0, Dtokd.Run([.. Train, "--epochs", "1", "--batch-size", "512"]).ExitCode);
        string metrics = Path.Combine(_temp["run"], "metrics.jsonl"), kept = Path.Combine(_temp["run"], "report-earlier.html");
        string report = File.ReadAllText(Path.Combine(_temp["run"], "report.html"));
        File.Delete(metrics);
        var resumed = Dtokd.Run("train", "--resume", _temp["run"]);
        Assert.Equal((0, $"{metrics} is gone: the report of what it held is kept as {kept}\n"), (resumed.ExitCode, resumed.Error));
        Assert.Equal(report, File.ReadAllText(kept));
        Assert.NotEqual(report, File.ReadAllText(Path.Combine(_temp["run"], "report.html")));
    }

    [Fact]
    public void A_folder_that_another_process_writes_to_is_left_alone()
    {
        Assert.Equal(0, Dtokd.Run([.. Train, "--epochs", "1", "--batch-size", "512"]).ExitCode);
        byte[] metrics = File.ReadAllBytes(Path.Combine(_temp["run"], "metrics.jsonl"));
        using (RunFolder.Open(_temp["run"]).Hold())
            BadInputTests.AssertRefused($"another process is at work in the run folder {_temp["run"]}", "train", "--resume", _temp["run"]);
        Assert.Equal(metrics, File.ReadAllBytes(Path.Combine(_temp["run"], "metrics.jsonl")));
        Assert.Equal(0, Dtokd.Run("train", "--resume", _temp["run"]).ExitCode);
        Assert.False(File.Exists(Path.Combine(_temp["run"], "run.lock")));
    }

    [Fact]
    public void A_run_whose_folder_was_removed_says_so()
    {
        var result = Dtokd.RunThen("epoch 1/2", () => Directory.Delete(_temp["run"], recursive: true), [.. Train, "--epochs", "2", "--batch-size", "512"]);
        Assert.Equal(2, result.ExitCode);
        Assert.Matches($"^dtokd: cannot write .*: there is no folder .*; the run folder {_temp["run"]} is gone: begin anew\n$", result.Error);
    }

    [Fact]
    public void An_image_that_is_found_broken_on_the_way_is_named_with_how_to_go_on()
    {
        foreach (string image in (string[])["a/1.png", "b/1.png"])
        {
            Directory.CreateDirectory(_temp[$"images/{image[..1]}"]);
            _temp.Write($"images/{image}", [0x89, (byte)'P', (byte)'N', (byte)'G']);
        }

        var result = Dtokd.Run([.. Train, "--data", $"imagefolder:{_temp["images"]}", "--epochs", "1", "--batch-size", "2"]);
        Assert.Equal(2, result.ExitCode);
        Assert.Matches(
            @"^dtokd: .*/images/[ab]/1\.png: the image cannot be decoded: the file is damaged or cut short; mend or remove it; "
            + $"go on with: dtokd train --resume {_temp["run"]}\n$",
            result.Error);
    }

    [Fact]
    public void A_loss_that_is_not_finite_fails_with_the_step_the_objective_and_the_last_checkpoint()
    {
        string[] rates = ["--opt", "sgd", "--lr", "1e30", "--clip-grad", "none", "--warmup-epochs", "0"];
        var result = Dtokd.Run([.. Train, "--epochs", "2", "--batch-size", "1437", .. rates]);
        Assert.Equal(1, result.ExitCode);
        Assert.Matches(
            @"^dtokd: step 2: loss .*'task' is not finite; the last checkpoint of run 'regnety_nano' is .*last\.safetensors; a lower --lr may help, --detect-anomaly names the operation\n$",
            result.Error);
    }

    [Fact]
    public void Looking_for_anomalies_names_the_operation_and_its_place_in_the_network()
    {
        string[] rates = ["--opt", "sgd", "--lr", "1e30", "--clip-grad", "none", "--warmup-epochs", "0"];
        var result = Dtokd.Run([.. Train, "--epochs", "2", "--batch-size", "1437", "--detect-anomaly", .. rates]);
        Assert.Equal(1, result.ExitCode);
        Assert.Matches(
            @"^dtokd: step 2: the forward pass of \w+ gave (NaN|-?infinity) \(.*\); (with|after) [a-z0-9_.]+.*; the last checkpoint of run "
            + @"'regnety_nano' is .*last\.safetensors; a lower --lr may help\n$",
            result.Error);
        Assert.DoesNotContain("\n", result.Error.TrimEnd('\n'));
    }

    [Fact]
    public void A_checkpoint_is_evaluated_on_the_held_out_images()
    {
        var result = Dtokd.Run("eval", "--checkpoint", Checkpoint, "--data", "digits");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var epochs = MetricsFile.Read(Path.Combine(run.Folder, "metrics.jsonl")).Epochs;
        double? top1 = epochs.Single(epoch => epoch.Run == "exact").Top1;
        Assert.StartsWith(FormattableString.Invariant($"regnety_nano on digits: top-1 {100 * top1:F2} %, top-5 "), result.Output);
        Assert.EndsWith(" % of 360 images\n", result.Output);
    }

    [Fact]
    public void A_checkpoint_of_another_network_is_refused_with_its_name() => BadInputTests.AssertRefused(
        "holds the network regnety_nano, not regnety_micro",
        "eval", "--checkpoint", Checkpoint, "--data", "digits", "--model", "regnety_micro");

    [Fact]
    public void The_state_of_a_run_is_no_network_and_those_beside_it_are_named() => BadInputTests.AssertRefused(
        "state.safetensors is the state of a run, for --resume; the network is in best.safetensors and last.safetensors beside it",
        "eval", "--checkpoint", State, "--data", "digits", "--model", "regnety_nano");

    [Fact]
    public void The_state_of_a_run_is_not_converted()
    {
        BadInputTests.AssertRefused("is the state of a run, for --resume; the network is in best.safetensors", "convert", State, _temp["out"]);
        Assert.False(File.Exists(_temp["out"]));
    }

    [Fact]
    public void A_teacher_of_another_network_is_refused_before_a_folder_is_made()
    {
        BadInputTests.AssertRefused(
            "holds the network regnety_nano, not regnety_micro",
            "distill", "--teacher", Checkpoint, "--teacher-model", "regnety_micro", "--output", _temp["run"]);
        Assert.False(Directory.Exists(_temp["run"]));
    }

    [Theory]
    [InlineData("distill", "--method", "amortised-famo", "regnety_160")]
    [InlineData("train", "--epochs", "digits: 15; others: ", "regnety_160")]
    [InlineData("eval", "--checkpoint", "REQUIRED", "regnety_160")]
    [InlineData("info", "--json")]
    public void Help_shows_options_defaults_and_names(string verb, params string[] expected)
    {
        var result = Dtokd.Run(verb, "--help");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.All(expected, text => Assert.Contains(text, result.Output));
    }

    [Fact]
    public void The_examples_below_the_programs_help_are_not_below_its_verbs()
    {
        Assert.Contains("Examples:", Dtokd.Run("--help").Output);
        Assert.DoesNotContain("Examples:", Dtokd.Run("inspect", "--help").Output);
        Assert.DoesNotContain("Exit codes:", Dtokd.Run("bench", "step", "--help").Output);
    }

    [Fact]
    public void The_version_is_that_of_the_assembly() =>
        Assert.Equal($"{typeof(DtoKd.Cli.Application).Assembly.GetName().Version!.ToString(3)}\n", Dtokd.Run("--version").Output);

    [Fact]
    public void Info_names_the_vector_width_and_the_device()
    {
        var result = Dtokd.Run("info");
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"simd +(zen5|zen4|avx512|avx2|portable) ", result.Output);
        Assert.Matches(@"cuda(:0)? +\S", result.Output);
    }

    private string[] Train => ["train", "--model", "regnety_nano", "--output", _temp["run"]];

    private string Checkpoint => Path.Combine(run.Folder, "checkpoints", "exact", "last.safetensors");

    private string State => Path.Combine(run.Folder, "checkpoints", "exact", "state.safetensors");

    /// <summary>One epoch of a small teacher and of one student, for the tests that look at what is left.</summary>
    public sealed class SmallRun : IDisposable
    {
        private readonly TemporaryFolder _temp = new();

        public SmallRun() => Result = Dtokd.Run(
            "distill", "--data", "digits", "--teacher", "regnety_nano", "--student", "regnety_nano", "--method", "exact",
            "--epochs", "1", "--teacher-epochs", "1", "--batch-size", "256", "--output", Folder);

        public string Folder => _temp["run"];

        internal Dtokd Result { get; }

        public void Dispose() => _temp.Dispose();
    }
}
