using DtoKd.Engine;
using DtoKd.Training.Data;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Loop;

/// <summary>
/// Trains one network to the end: steps, an evaluation and a checkpoint after every epoch, records of all of it. A run that
/// finds the state of an earlier one goes on where that stopped.
/// </summary>
internal sealed class RunLoop(Device device, RunFolder folder, MetricsLogs logs, IRunObserver observer)
{
    // Larger than a training batch: nothing is kept for a backward pass.
    private const int EvaluationBatch = 256;

    /// <summary>Trains, or goes on training, a network.</summary>
    /// <param name="run">The name of the run.</param>
    /// <param name="network">The network.</param>
    /// <param name="trainer">Its trainer.</param>
    /// <param name="plan">Its batches.</param>
    /// <param name="epochs">Epochs in all.</param>
    /// <param name="test">Images held out.</param>
    /// <param name="cancellation">Stops the run after the step under way, with its state saved.</param>
    /// <exception cref="OperationCanceledException">The run was stopped.</exception>
    /// <exception cref="TrainingDivergedException">A loss was not finite.</exception>
    public void Run(
        string run, Network network, Trainer trainer, BatchPlan plan, int epochs, ImageDataset test, CancellationToken cancellation)
    {
        string checkpoints = folder.CheckpointsOf(run);
        string state = Path.Combine(checkpoints, CheckpointFiles.State);
        var objectives = trainer.Objectives.ToArray();
        var totals = new EpochTotals(objectives.Length);
        long totalSteps = (long)epochs * plan.BatchesPerEpoch;
        double best = File.Exists(state) ? TrainingState.Load(state, network.Arena, trainer, totals) : -1;
        observer.RunStarted(run, network.Name, network.Arena.ParameterCount, trainer.StepsDone, totalSteps);
        using var log = logs.Open(run, trainer.StepsDone);
        StepReport report = default;
        while (trainer.StepsDone < totalSteps)
        {
            if (cancellation.IsCancellationRequested)
            {
                Report(ahead: 0);
                TrainingState.Save(state, network.Arena, trainer, totals, best);
                cancellation.ThrowIfCancellationRequested();
            }

            trainer.Queue();
            bool endsEpoch = trainer.StepsDone % plan.BatchesPerEpoch == 0;
            Report(ahead: endsEpoch ? 0 : trainer.MostAhead);
            if (!endsEpoch)
                continue;

            double top1 = Evaluation.Top1(device, network.Model, test, EvaluationBatch);
            var epoch = Records.Of(run, objectives, report, totals, top1);
            log.Write(epoch);
            totals.Reset();
            network.Save(Path.Combine(checkpoints, CheckpointFiles.Last));
            if (top1 > best)
            {
                best = top1;
                network.Save(Path.Combine(checkpoints, CheckpointFiles.Best));
            }

            TrainingState.Save(state, network.Arena, trainer, totals, best);
            observer.EpochDone(epoch);
        }

        observer.RunFinished(run);

        // Reports the steps that were asked for, except the last few, which the device may still be computing.
        void Report(int ahead)
        {
            while (trainer.Queued > ahead)
            {
                report = trainer.Report();
                totals.Add(report);
                var record = Records.Of(run, objectives, report);
                log.Write(record);
                observer.StepDone(record, report.Images);
            }
        }
    }
}

/// <summary>The names of the files in a run's folder of checkpoints.</summary>
public static class CheckpointFiles
{
    /// <summary>What a stopped run needs to go on.</summary>
    public const string State = "state.safetensors";

    /// <summary>The network after the last whole epoch.</summary>
    public const string Last = "last.safetensors";

    /// <summary>The network after the epoch of the highest top-1.</summary>
    public const string Best = "best.safetensors";
}
