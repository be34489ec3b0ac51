using System.Text;
using System.Text.Json;
using DtoKd.Tests;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Tests.Logging;

public sealed class MetricsLogTests : IDisposable
{
    private static readonly string[] _objectives = ["task", "kl", "feature"];
    private readonly TemporaryFolder _folder = new();

    private string File => _folder["metrics.jsonl"];

    public void Dispose() => _folder.Dispose();

    private static StepRecord Step(string run, long step) => new()
    {
        Run = run,
        Step = step,
        Epoch = 1,
        Losses = new(_objectives, [1.5, 0.25, step]),
        Weights = new(_objectives, [0.1, 0.2, 0.7]),
        LearningRate = 1e-3,
        Milliseconds = 12.5,
    };

    private static EpochRecord Epoch(string run, int epoch, long step) =>
        new() { Run = run, Epoch = epoch, Step = step, Top1 = 0.5, ImagesPerSecond = 100, Seconds = 2 };

    private void WriteSteps(params (string Run, long Step)[] steps)
    {
        using var log = MetricsLog.Create(File);
        foreach (var (run, step) in steps)
            log.Write(Step(run, step));
    }

    private IEnumerable<(string, long)> ReadSteps() => MetricsFile.Read(File).Steps.Select(step => (step.Run, step.Step));

    [Fact]
    public void Full_records_come_back_equal()
    {
        var step = Step("dto-kd \"exact\" <π>", 3) with
        {
            Coefficients = new(_objectives, [1 / 3d, double.Epsilon, double.MaxValue]),
            Cosine = new(["kl", "feature"], [-0.25, 1]),
            NormRatio = new(["kl", "feature"], [1e-3, 1e3]),
            Conflict = true,
            Clamped = false,
            DroppedObjective = "feature",
            NormOfMixed = 0.1,
            GradNorm = 2,
        };
        var epoch = Epoch("dto-kd", 2, 40) with { TrainLosses = new(_objectives, [1, 2, 3]), ConflictShare = 0.5, ClampedShare = 0 };
        using (var log = MetricsLog.Create(File))
        {
            log.Write(step);
            log.Write(epoch);
        }
        var read = MetricsFile.Read(File);
        Assert.Equal(step, Assert.Single(read.Steps));
        Assert.Equal(epoch, Assert.Single(read.Epochs));
    }

    [Fact]
    public void What_was_not_measured_is_not_written_and_comes_back_as_null()
    {
        WriteSteps(("a", 1));
        Assert.DoesNotContain("null", System.IO.File.ReadAllText(File));
        var read = MetricsFile.Read(File).Steps[0];
        Assert.Null(read.Conflict);
        Assert.Null(read.Clamped);
        Assert.Null(read.DroppedObjective);
        Assert.Null(read.GradNorm);
        Assert.Empty(read.Cosine);
    }

    [Fact]
    public void Numbers_that_are_not_finite_come_back_and_leave_the_line_valid_json()
    {
        var step = Step("a", 1) with
        {
            Losses = new(_objectives, [double.NaN, double.PositiveInfinity, double.NegativeInfinity]),
            GradNorm = double.NaN,
        };
        using (var log = MetricsLog.Create(File))
            log.Write(step);
        using var json = JsonDocument.Parse(System.IO.File.ReadAllText(File));
        Assert.Equal("NaN", json.RootElement.GetProperty("losses").GetProperty("task").GetString());
        Assert.Equal(step, MetricsFile.Read(File).Steps[0]);
    }

    [Fact]
    public void A_last_line_cut_off_anywhere_costs_only_that_line()
    {
        WriteSteps(("a", 1), ("é", 2));
        byte[] whole = System.IO.File.ReadAllBytes(File);
        int firstLine = whole.AsSpan().IndexOf((byte)'\n') + 1;
        for (int length = firstLine; length < whole.Length; length++)
        {
            System.IO.File.WriteAllBytes(File, whole[..length]);
            // Only the newline missing: the record is whole.
            Assert.Equal(length == whole.Length - 1 ? 2 : 1, MetricsFile.Read(File).Steps.Count);
        }
    }

    [Theory]
    [InlineData("{\"kind\":\"step\",\"run\":")]
    [InlineData("{\"kind\":\"step\",\"run\":\"a\",\"epoch\":1,\"step\":2}")]
    [InlineData("{\"kind\":\"march\",\"run\":\"a\",\"epoch\":1,\"step\":2}")]
    [InlineData("{\"kind\":\"step\",\"run\":3,\"epoch\":1,\"step\":2}")]
    [InlineData("{\"kind\":\"epoch\",\"run\":null,\"epoch\":1,\"step\":2}")]
    [InlineData("[]")]
    [InlineData("")]
    public void A_broken_line_in_the_middle_is_refused_with_its_number(string line)
    {
        WriteSteps(("a", 1));
        string first = System.IO.File.ReadAllText(File);
        System.IO.File.WriteAllText(File, first + line + "\n" + first);
        var error = Assert.Throws<InvalidDataException>(() => MetricsFile.Read(File));
        Assert.Contains("metrics.jsonl, line 2", error.Message);
    }

    [Fact]
    public void A_log_with_a_random_byte_in_it_is_read_or_refused_but_never_crashes()
    {
        var random = new Random(1);
        for (int i = 0; i < 300; i++)
        {
            WriteSteps(("a", 1), ("b", 2), ("a", 3));
            byte[] bytes = System.IO.File.ReadAllBytes(File);
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            System.IO.File.WriteAllBytes(File, bytes);
            var error = Record.Exception(() => MetricsFile.Read(File));
            Assert.True(error is null or InvalidDataException, error?.ToString());
            System.IO.File.Delete(File);
        }
    }

    [Fact]
    public void Resuming_drops_what_the_run_logged_after_its_checkpoint_and_no_other_run()
    {
        using (var log = MetricsLog.Create(File))
        {
            log.Write(Step("first", 9));
            log.Write(Step("second", 1));
            log.Write(Step("second", 2));
            log.Write(Epoch("second", 1, 2));
            log.Write(Step("second", 3));
            log.Write(Epoch("second", 2, 4));
        }
        using (var log = MetricsLog.Resume(File, "second", 2))
            log.Write(Step("second", 3));
        Assert.Equal([("first", 9), ("second", 1), ("second", 2), ("second", 3)], ReadSteps());
        Assert.Equal(2, Assert.Single(MetricsFile.Read(File).Epochs).Step);
    }

    [Fact]
    public void A_resumed_log_equals_an_uninterrupted_one_byte_for_byte()
    {
        WriteSteps(("a", 1), ("a", 2), ("a", 3), ("a", 4));
        byte[] uninterrupted = System.IO.File.ReadAllBytes(File);
        System.IO.File.WriteAllBytes(File, uninterrupted[..^20]);
        using (var log = MetricsLog.Resume(File, "a", 2))
        {
            log.Write(Step("a", 3));
            log.Write(Step("a", 4));
        }
        Assert.Equal(uninterrupted, System.IO.File.ReadAllBytes(File));
    }

    [Fact]
    public void Resuming_a_file_with_a_broken_line_leaves_it_as_it_was()
    {
        WriteSteps(("a", 1), ("a", 2));
        System.IO.File.WriteAllText(File, "rubbish\n" + System.IO.File.ReadAllText(File));
        byte[] before = System.IO.File.ReadAllBytes(File);
        Assert.Throws<InvalidDataException>(() => MetricsLog.Resume(File, "a", 1));
        Assert.Equal(before, System.IO.File.ReadAllBytes(File));
    }

    [Fact]
    public void Resuming_without_a_file_starts_one()
    {
        using (var log = MetricsLog.Resume(File, "a", 5))
            log.Write(Step("a", 6));
        Assert.Equal([("a", 6)], ReadSteps());
    }

    [Fact]
    public void An_epoch_brings_its_lines_to_the_file_while_the_log_is_open()
    {
        using var log = MetricsLog.Create(File);
        log.Write(Step("a", 1));
        log.Write(Epoch("a", 1, 1));
        log.Write(Step("a", 2));
        var read = MetricsFile.Read(File);
        Assert.Single(read.Steps);
        Assert.Single(read.Epochs);
    }

    [Fact]
    public void An_existing_log_is_not_overwritten()
    {
        WriteSteps(("a", 1));
        Assert.Throws<IOException>(() => MetricsLog.Create(File));
        Assert.Equal([("a", 1)], ReadSteps());
    }

    [Fact]
    public void Writing_a_step_allocates_nothing_once_the_buffer_is_there()
    {
        using var log = MetricsLog.Create(File);
        var step = Step("a", 1);
        void WriteThousand()
        {
            for (int i = 0; i < 1000; i++)
                log.Write(step);
        }
        WriteThousand();
        Assert.Equal(0, Allocation.Of(WriteThousand));
    }

    [Fact]
    public void Names_and_values_must_pair_up()
    {
        Assert.Throws<ArgumentException>(() => new NamedValues(["a"], [1, 2]));
        Assert.Throws<ArgumentException>(() => new NamedValues(["a", "a"], [1, 2]));
        Assert.Null(default(NamedValues).Find("a"));
        Assert.Equal(2, new NamedValues(["a", "b"], [1, 2]).Find("b"));
    }

    [Fact]
    public void The_configuration_is_indented_json_and_comes_back()
    {
        var config = new SampleConfig("digits", 0.025, double.PositiveInfinity, DayOfWeek.Friday);
        ConfigFile.Write(_folder["config.json"], config);
        string text = System.IO.File.ReadAllText(_folder["config.json"], Encoding.UTF8);
        Assert.StartsWith("{\n  \"dataSet\": \"digits\",\n  \"rate\": 0.025,\n", text);
        Assert.Contains("\"day\": \"friday\"", text);
        Assert.Equal(config, ConfigFile.Read<SampleConfig>(_folder["config.json"]));
        Assert.Single(Directory.EnumerateFiles(_folder.FullName));
    }

    [Theory]
    [InlineData("{ \"dataSet\":")]
    [InlineData("{ \"colour\": \"red\" }")]
    [InlineData("{ \"day\": \"someday\" }")]
    [InlineData("null")]
    public void A_broken_configuration_is_refused_by_name(string text)
    {
        System.IO.File.WriteAllText(_folder["config.json"], text);
        var error = Assert.Throws<InvalidDataException>(() => ConfigFile.Read<SampleConfig>(_folder["config.json"]));
        Assert.Contains("config.json", error.Message);
    }

    private sealed record SampleConfig(string DataSet, double Rate, double Clip, DayOfWeek Day);
}
