using DtoKd.Engine.Cpu;
using DtoKd.Tests;
using DtoKd.Training.Logging;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Tests.Loop;

public sealed class ExperimentTests : IDisposable
{
    private readonly TemporaryFolder _temp = new();

    private static ExperimentSettings Short => ExperimentSettings.DefaultsFor("digits") with
    {
        Student = "deit_micro",
        Teachers = ["regnety_nano"],
        Methods = ["exact"],
        Epochs = 1,
        TeacherEpochs = 1,
        BatchSize = 128,
        DiagnosticsEvery = 4,
    };

    public static TheoryData<string> Methods => ["none", "fixed", "exact", "exact-features", "amortised-logits", "amortised-literal", "amortised-famo"];

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void The_same_seed_gives_the_same_bytes_with_one_thread_and_with_two()
    {
        string one = Run("one", Short, threads: 1), two = Run("two", Short, threads: 2);
        foreach (string run in new[] { "teacher", "exact" })
        {
            Assert.Equal(File.ReadAllBytes(Checkpoint(one, run, CheckpointFiles.State)), File.ReadAllBytes(Checkpoint(two, run, CheckpointFiles.State)));
            Assert.Equal(File.ReadAllBytes(Checkpoint(one, run, CheckpointFiles.Last)), File.ReadAllBytes(Checkpoint(two, run, CheckpointFiles.Last)));
        }
    }

    [Fact]
    public void Another_seed_gives_other_bytes()
    {
        var settings = Short with { Methods = ["none"] };
        string one = Run("one", settings), two = Run("two", settings with { Seed = 1 });
        Assert.NotEqual(File.ReadAllBytes(Checkpoint(one, "none", CheckpointFiles.Last)), File.ReadAllBytes(Checkpoint(two, "none", CheckpointFiles.Last)));
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void A_run_stopped_after_some_steps_and_resumed_equals_the_uninterrupted_one(string method)
    {
        var settings = Short with { Methods = [method] };
        string whole = Run("whole", settings);
        string stopped = _temp["stopped"];
        using (var stop = new CancellationTokenSource())
            Assert.Throws<OperationCanceledException>(() => Run("stopped", settings, observer: new StopAt(method, 7, stop), stop: stop.Token));
        Assert.Equal(7, MetricsFile.Read(Path.Combine(stopped, "metrics.jsonl")).Steps.Count(step => step.Run == method));
        Run("stopped", settings, open: true);
        Assert.Equal(
            File.ReadAllBytes(Checkpoint(whole, method, CheckpointFiles.State)), File.ReadAllBytes(Checkpoint(stopped, method, CheckpointFiles.State)));
        Assert.Equal(Losses(whole, method), Losses(stopped, method));
    }

    [Fact]
    public void A_usual_warm_up_is_at_most_a_quarter_of_a_training_and_one_asked_for_is_as_it_is()
    {
        var usual = ExperimentSettings.DefaultsFor("digits");
        Assert.Equal(2, usual.WarmupOf(usual.Epochs));
        Assert.Equal(2, usual.WarmupOf(usual.TeacherEpochs));
        Assert.Equal(0.25, usual.WarmupOf(1));
        Assert.Equal(2, (usual with { WarmupShare = null }).WarmupOf(3));

        // 11 steps: two in which the rate rises, then the cosine.
        string folder = Run("run", Short with { Methods = ["none"] });
        var rates = MetricsFile.Read(Path.Combine(folder, "metrics.jsonl")).Steps.Select(step => step.LearningRate / Short.LearningRate).ToList();
        Assert.Equal(11, rates.Count);
        Assert.Equal([0.5, 1, 1], rates.Take(3));
        Assert.Equal(rates.Skip(2).OrderDescending(), rates.Skip(2));
    }

    [Fact]
    public void A_diverging_run_stops_and_names_the_step_and_the_objective()
    {
        var settings = Short with { Methods = ["none"], Teachers = [], Optimiser = "sgd", LearningRate = 1e30, ClipNorm = null, WarmupEpochs = 0 };
        var exception = Assert.Throws<TrainingDivergedException>(() => Run("diverged", settings));
        Assert.Equal("task", exception.Objective);
        Assert.InRange(exception.Step, 2, 11);
    }

    [Fact]
    public void The_log_has_every_step_with_the_weights_of_three_objectives()
    {
        string folder = Run("run", Short);
        var metrics = MetricsFile.Read(Path.Combine(folder, "metrics.jsonl"));
        var steps = metrics.Steps.Where(step => step.Run == "exact").ToList();
        Assert.Equal(11, steps.Count);
        Assert.All(steps, step =>
        {
            Assert.Equal(["feature", "task", "kl"], step.Losses.Names.ToArray());
            Assert.Equal(1, step.Weights.Values.ToArray().Sum(), 1e-9);
            Assert.Equal(2, step.Cosine.Count);
            Assert.NotNull(step.NormOfMixed);
        });
        Assert.True(new FileInfo(Path.Combine(folder, "report.html")).Length > 100_000);
    }

    [Fact]
    public void Every_teacher_has_objectives_of_its_own_and_several_resume_as_one_does()
    {
        var settings = Short with { Teachers = ["regnety_nano", "deit_micro", "regnety_nano"], Methods = ["exact", "none"] };
        string whole = Run("whole", settings);
        var metrics = MetricsFile.Read(Path.Combine(whole, "metrics.jsonl"));
        Assert.Equal(["teacher-1", "teacher-2", "teacher-3", "exact", "none"], metrics.Epochs.Select(epoch => epoch.Run));
        string[] objectives =
        [
            "feature:regnety_nano", "feature:deit_micro", "feature:regnety_nano-2", "task",
            "kl:regnety_nano", "kl:deit_micro", "kl:regnety_nano-2",
        ];
        Assert.All(metrics.Steps.Where(step => step.Run == "exact"), step =>
        {
            Assert.Equal(objectives, step.Weights.Names.ToArray());
            Assert.Equal(1, step.Weights.Values.ToArray().Sum(), 1e-9);
        });
        // The two of one network were trained with different seeds.
        Assert.NotEqual(
            File.ReadAllBytes(Checkpoint(whole, "teacher-1", CheckpointFiles.Last)), File.ReadAllBytes(Checkpoint(whole, "teacher-3", CheckpointFiles.Last)));
        string page = File.ReadAllText(Path.Combine(whole, "report.html"));
        Assert.All(objectives, objective => Assert.Contains($"Loss <b>{objective}</b>", page, StringComparison.Ordinal));
        Assert.Contains("Teacher regnety_nano-2", page, StringComparison.Ordinal);

        using (var stop = new CancellationTokenSource())
            Assert.Throws<OperationCanceledException>(() => Run("stopped", settings, observer: new StopAt("exact", 5, stop), stop: stop.Token));
        Run("stopped", settings, open: true);
        Assert.Equal(
            File.ReadAllBytes(Checkpoint(whole, "exact", CheckpointFiles.State)), File.ReadAllBytes(Checkpoint(_temp["stopped"], "exact", CheckpointFiles.State)));
    }

    [Fact]
    public void Methods_without_a_gradient_per_objective_compare_gradients_every_so_often()
    {
        string folder = Run("run", Short with { Methods = ["fixed"] });
        var steps = MetricsFile.Read(Path.Combine(folder, "metrics.jsonl")).Steps.Where(step => step.Run == "fixed").ToList();
        Assert.Equal([1, 5, 9], steps.Where(step => step.Conflict is not null).Select(step => step.Step));
    }

    private static string Checkpoint(string folder, string run, string file) => Path.Combine(folder, "checkpoints", run, file);

    private static double[][] Losses(string folder, string run) =>
        [.. MetricsFile.Read(Path.Combine(folder, "metrics.jsonl")).Steps.Where(step => step.Run == run).Select(step => step.Losses.Values.ToArray())];

    private string Run(
        string name,
        ExperimentSettings settings,
        int threads = 2,
        bool open = false,
        IRunObserver? observer = null,
        CancellationToken stop = default)
    {
        string path = _temp[name];
        var folder = open ? RunFolder.Open(path) : RunFolder.Create(name, path);
        if (!open)
            ConfigFile.Write(folder.Config, settings);
        using var device = new CpuDevice(threads);
        new Experiment(settings, device, observer ?? new Silent()).Run(folder, stop);
        Assert.Equal(0, device.Pool.LiveBytes);
        return path;
    }

    private class Silent : IRunObserver
    {
        public void RunStarted(string run, string network, long parameters, long stepsDone, long totalSteps)
        {
        }

        public virtual void StepDone(in StepRecord step, int images)
        {
        }

        public void EpochDone(in EpochRecord epoch)
        {
        }

        public void RunFinished(string run)
        {
        }
    }

    private sealed class StopAt(string run, long step, CancellationTokenSource stop) : Silent
    {
        public override void StepDone(in StepRecord record, int images)
        {
            if (record.Run == run && record.Step == step)
                stop.Cancel();
        }
    }
}
