using System.Net;
using System.Text.RegularExpressions;
using DtoKd.Tests;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Tests.Logging;

public sealed partial class HtmlReportTests : IDisposable
{
    private static readonly string[] _objectives = ["task <b>", "kl </script><script>alert(1)</script>"];
    private static readonly string[] _runs = ["fixed ½–½", "exact & <i>\"quoted\"</i>"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Metrics Sample(int steps) => new(
        [
            .. from run in _runs
               from step in Enumerable.Range(1, steps)
               select new StepRecord
               {
                   Run = run,
                   Step = step,
                   Epoch = 1,
                   Losses = new(_objectives, [1d / step, step == 7 ? double.NaN : 2]),
                   Weights = new(_objectives, [0.25, 0.75]),
                   Cosine = run == _runs[1] ? new([_objectives[1]], [Math.Cos(step)]) : default,
                   NormRatio = run == _runs[1] ? new([_objectives[1]], [step]) : default,
                   Conflict = run == _runs[1] ? step % 4 == 0 : null,
                   Milliseconds = step,
               },
        ],
        [
            .. from run in _runs
               select new EpochRecord
               {
                   Run = run,
                   Epoch = 1,
                   Step = steps,
                   Top1 = run == _runs[0] ? 0.9125 : 0.9475,
                   TrainLosses = new(_objectives, [0.5, double.PositiveInfinity]),
               },
        ]);

    private string Write(Metrics metrics)
    {
        HtmlReport.Write(_folder["report.html"], new RunSummary
        {
            Title = "Digits <&>",
            DataSet = "digits",
            Teachers = [new TeacherResult("regnety", 0.98)],
            Student = "deit",
            Seed = 42,
            Date = new(2026, 1, 31, 9, 30, 0, TimeSpan.Zero),
            Version = "0.1.0",
            Metrics = metrics,
        });
        return File.ReadAllText(_folder["report.html"]);
    }

    /// <summary>The page without plotly.js and its licence, whose texts are not ours.</summary>
    private static string WithoutPlotly(string page) =>
        Scripts().Replace(page, match => match.Length > 1_000_000 || match.Value.Contains("text/plain") ? "" : match.Value);

    [GeneratedRegex("<script[^>]*>.*?</script>", RegexOptions.Singleline)]
    private static partial Regex Scripts();

    [Fact]
    public void Every_name_is_there_and_escaped()
    {
        string page = Write(Sample(20));
        foreach (string name in (string[])[.. _objectives, .. _runs, "Digits <&>"])
        {
            Assert.Contains(WebUtility.HtmlEncode(name), page);
            if (name.AsSpan().IndexOfAny("<&\"") >= 0)
                Assert.DoesNotContain(name, page);
        }
    }

    [Fact]
    public void The_page_asks_the_network_for_nothing()
    {
        string page = Write(Sample(20));
        Assert.Contains("plotly.js v2", page);
        Assert.Contains("default-src 'none'", page);
        Assert.DoesNotMatch(@"<(script|img|link|iframe)[^>]*\s(src|href)\s*=", page);
        string ours = WithoutPlotly(page);
        Assert.True(ours.Length < 100_000);
        Assert.DoesNotMatch(@"https?:|@import|url\(", ours);
    }

    [Fact]
    public void The_table_has_the_numbers()
    {
        string page = Write(Sample(20));
        Assert.Contains("<td>91.3 %</td>", page);
        Assert.Contains("<td class=\"best\">94.8 %</td>", page);
        Assert.Contains("<td>0.5000</td><td>∞</td><td>10.5</td><td>–</td><td>–</td>", page);
        Assert.Contains("<td>10.5</td><td>25.0 %</td><td>–</td>", page);
    }

    [Fact]
    public void There_is_a_chart_for_all_that_was_measured()
    {
        string page = WithoutPlotly(Write(Sample(20)));
        // Top-1, two losses, two weights, a cosine and a norm ratio.
        Assert.Equal(7, Regex.Count(page, "<figure>"));
        Assert.Equal(7, Regex.Count(page, "\"traces\":"));
        // Only one of the runs compares gradients: two lines in five charts, one in two.
        Assert.Equal(12, Regex.Count(page, "\"meta\":"));
    }

    [Fact]
    public void Long_runs_stay_small() =>
        Assert.InRange(WithoutPlotly(Write(Sample(50_000))).Length, 0, 600_000);

    [Fact]
    public void A_run_that_logged_nothing_still_gives_a_page()
    {
        string page = Write(new Metrics([], []));
        Assert.Contains("no step was logged", page);
        Assert.DoesNotContain("<script", page);
    }

    [Fact]
    public void Runs_of_several_seeds_are_one_row_with_mean_and_deviation_and_one_curve()
    {
        EpochRecord Epoch(string run, double top1, double loss) =>
            new() { Run = run, Epoch = 1, Step = 1, Top1 = top1, TrainLosses = new NamedValues(["task"], [loss]) };
        var metrics = new Metrics([], [Epoch("mgda-loss+@7", 0.5, 1), Epoch("none@7", 0.75, 4), Epoch("mgda-loss+@8", 0.7, 2)]);
        metrics = metrics with { Steps = [.. metrics.Epochs.Select(epoch => new StepRecord { Run = epoch.Run, Step = 1, Epoch = 1 })] };
        var results = RunResult.From(metrics);
        Assert.Equal(["mgda-loss+", "none"], results.Select(result => result.Run));
        Assert.Equal(0.6, results[0].Top1!.Value, 1e-12);
        Assert.Equal(Math.Sqrt(0.02), results[0].Top1Deviation!.Value, 1e-12);
        Assert.Equal(1.5, results[0].FinalLosses.Values[0]);
        Assert.Equal((2, 1), (results[0].Seeds, results[1].Seeds));
        Assert.Null(results[1].Top1Deviation);
        string page = WithoutPlotly(Write(metrics));
        Assert.Contains("60.0 % ± 14.1", page);
        Assert.Equal(2, Regex.Count(page, "\"meta\":"));
    }

    [Fact]
    public void Results_follow_the_order_of_the_log_and_fall_back_on_the_last_step()
    {
        var results = RunResult.From(new Metrics(Sample(8).Steps, []));
        Assert.Equal(_runs, results.Select(result => result.Run));
        Assert.Null(results[1].Top1);
        Assert.Equal(1d / 8, results[1].FinalLosses.Values[0]);
        Assert.Equal(4.5, results[1].MillisecondsPerStep);
        Assert.Equal(0.25, results[1].ConflictShare);
        Assert.Null(results[1].ClampedShare);
    }
}
