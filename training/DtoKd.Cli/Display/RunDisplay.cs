using DtoKd.Training.Logging;
using DtoKd.Training.Loop;

namespace DtoKd.Cli.Display;

/// <summary>Shows an experiment as it goes on, and what came out.</summary>
internal abstract class RunDisplay : IRunObserver
{
    /// <summary>The run under way.</summary>
    public string Run { get; private set; } = "";

    /// <summary>Steps done of it.</summary>
    public long Step { get; private set; }

    /// <summary>Steps of it in all.</summary>
    protected long TotalSteps { get; private set; }

    public virtual void RunStarted(string run, string network, long parameters, long stepsDone, long totalSteps) =>
        (Run, Step, TotalSteps) = (run, stepsDone, totalSteps);

    public virtual void StepDone(in StepRecord step, int images) => Step = step.Step;

    public virtual void EpochDone(in EpochRecord epoch)
    {
    }

    public virtual void RunFinished(string run)
    {
    }

    /// <summary>The experiment begins.</summary>
    public virtual void Begin(RunFolder folder)
    {
    }

    /// <summary>Does the work, showing it.</summary>
    public virtual RunSummary Watch(Func<RunSummary> work) => work();

    /// <summary>The experiment is done.</summary>
    public abstract void End(RunSummary summary, RunFolder folder);

    /// <summary>Epochs of the run under way, from one that is done.</summary>
    protected long Epochs(in EpochRecord done) => TotalSteps / (done.Step / done.Epoch);
}
