using System.Diagnostics;
using DtoKd.Training.Logging;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace DtoKd.Cli.Display;

/// <summary>A progress bar for every run, for terminals.</summary>
internal sealed class BarDisplay(IAnsiConsole console) : RunDisplay
{
    // Wide enough for the figures beside a bar; in a narrower terminal the bar gives way.
    private const int WidthForBar = 100;

    // The weight of a new step in what is shown: a step's loss jumps from batch to batch.
    private const double Smoothing = 0.05;

    private readonly Stopwatch _clock = new();
    private ProgressContext? _progress;
    private ProgressTask? _bar;
    private long _firstStep;
    private double _images;
    private double _milliseconds;
    private double _loss;
    private double? _top1;

    public override RunSummary Watch(Func<RunSummary> work)
    {
        ProgressColumn[] columns =
        [
            new TaskDescriptionColumn { Alignment = Justify.Left },
            .. console.Profile.Width >= WidthForBar ? [new ProgressBarColumn { Width = 24 }] : Array.Empty<ProgressColumn>(),
            new PercentageColumn(),
            new FiguresColumn(),
        ];
        return console.Progress().AutoClear(false).Columns(columns).Start(progress =>
        {
            _progress = progress;
            try
            {
                return work();
            }
            finally
            {
                _bar?.StopTask();
            }
        });
    }

    public override void RunStarted(string run, string network, long parameters, long stepsDone, long totalSteps)
    {
        base.RunStarted(run, network, parameters, stepsDone, totalSteps);
        (_firstStep, _images, _milliseconds, _loss, _top1) = (stepsDone, 0, 0, double.NaN, null);
        _clock.Restart();
        _bar = _progress!.AddTask(run.EscapeMarkup(), maxValue: totalSteps);
        _bar.Value = stepsDone;
        Figure(stepsDone == totalSteps ? "done before" : network);
    }

    public override void StepDone(in StepRecord step, int images)
    {
        base.StepDone(step, images);
        _images += images;
        _milliseconds += step.Milliseconds;
        double loss = step.Losses.Find("task") ?? double.NaN;
        _loss = double.IsNaN(_loss) ? loss : _loss + Smoothing * (loss - _loss);
        _bar!.Value = step.Step;
        var left = _clock.Elapsed * ((double)(TotalSteps - step.Step) / (step.Step - _firstStep));
        Figure($"{Measured}  {Figures.Time(left)} left");
    }

    public override void EpochDone(in EpochRecord epoch) => _top1 = epoch.Top1;

    public override void RunFinished(string run)
    {
        if (_images > 0)
            Figure($"{Measured}  {Figures.Time(_clock.Elapsed)}");
        _bar!.StopTask();
    }

    public override void End(RunSummary summary, RunFolder folder) => SummaryTable.Write(console, summary, folder);

    private string Measured =>
        $"loss {Figures.Loss(_loss)}  top-1 {Figures.Percent(_top1)}  {Figures.Rate(1000 * _images / _milliseconds)}";

    private void Figure(string text) => _bar!.Tag = text;

    /// <summary>What was measured, as the bar's tag.</summary>
    private sealed class FiguresColumn : ProgressColumn
    {
        protected override bool NoWrap => true;

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Text((string?)task.Tag ?? "").Ellipsis();
    }
}
