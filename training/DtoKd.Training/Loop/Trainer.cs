using System.Diagnostics;
using DtoKd.Engine;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Loop;

/// <summary>What of a run concerns the step itself.</summary>
public sealed record TrainerOptions
{
    /// <summary>The run's seed.</summary>
    public ulong Seed { get; init; }

    /// <summary>The largest norm of the gradient handed to the optimiser; null for no clipping.</summary>
    public double? ClipNorm { get; init; }

    /// <summary>
    /// Every so many steps the objectives' gradients are compared even if the balancer does not ask for it, at the price of a
    /// backward pass for each; 0 for never.
    /// </summary>
    public int DiagnosticsEvery { get; init; }

    /// <summary>Whether to stop at the first operation that gives NaN or infinity. Slow; results stay the same.</summary>
    public bool DetectAnomaly { get; init; }
}

/// <summary>What one step did.</summary>
/// <param name="Step">Its number, from 1.</param>
/// <param name="Position">Its batch.</param>
/// <param name="Images">The size of the batch.</param>
/// <param name="TradeOff">Losses, weights and the geometry of the gradients.</param>
/// <param name="GradientNorm">The norm of the whole mixed gradient before clipping.</param>
/// <param name="LearningRate">The rate.</param>
/// <param name="Elapsed">The time it took.</param>
public readonly record struct StepReport(
    long Step, BatchPosition Position, int Images, TradeOffDiagnostics TradeOff, double GradientNorm, double LearningRate, TimeSpan Elapsed);

/// <summary>
/// Runs training steps. The order of one step is written here and nowhere else: forward, losses, backward passes, Gram matrix,
/// weights, mixing, clipping, optimiser.
/// </summary>
public sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly ParameterArena _arena;
    private readonly TrainingTask _task;
    private readonly Schedule _schedule;
    private readonly BatchLoader _loader;
    private readonly TrainerOptions _options;
    private readonly GradStore[] _stores;
    private readonly double[] _losses;
    private readonly double[] _gram;
    private IReadOnlyList<FlatRange>? _shared;

    /// <summary>Puts a run together.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="arena">What is trained.</param>
    /// <param name="task">What it is trained for.</param>
    /// <param name="balancer">How the objectives are weighed; of as many objectives as the task.</param>
    /// <param name="optimiser">What changes the parameters.</param>
    /// <param name="schedule">The learning rate of each step.</param>
    /// <param name="loader">The batches.</param>
    /// <param name="options">The rest.</param>
    public Trainer(
        Device device,
        ParameterArena arena,
        TrainingTask task,
        Balancer balancer,
        Optimiser optimiser,
        Schedule schedule,
        BatchLoader loader,
        TrainerOptions options)
    {
        int objectives = task.Objectives.Count;
        if (balancer.Objectives != objectives)
            throw new ArgumentException($"balancer {balancer.Name} weighs {balancer.Objectives} objectives, the task has {objectives}");
        (_device, _arena, _task, Balancer, Optimiser) = (device, arena, task, balancer, optimiser);
        (_schedule, _loader, _options) = (schedule, loader, options);
        _losses = new double[objectives];
        _gram = new double[objectives * objectives];
        bool comparesGradients = balancer.Needs.HasFlag(BalancerNeeds.Gram) || (options.DiagnosticsEvery > 0 && objectives > 1);
        _stores = [.. Enumerable.Range(0, comparesGradients ? objectives : 1).Select(_ => new GradStore(arena))];
    }

    /// <summary>Steps done since the beginning of the run.</summary>
    public long StepsDone { get; set; }

    /// <summary>How the objectives are weighed.</summary>
    public Balancer Balancer { get; }

    /// <summary>What changes the parameters.</summary>
    public Optimiser Optimiser { get; }

    /// <summary>The names of the objectives.</summary>
    public IReadOnlyList<string> Objectives => _task.Objectives;

    /// <summary>Takes one training step.</summary>
    /// <exception cref="TrainingDivergedException">A loss or gradient is not finite; the parameters are as before.</exception>
    /// <exception cref="AnomalyException">An operation gave NaN or infinity, and anomalies are looked for.</exception>
    public StepReport Step()
    {
        var clock = Stopwatch.StartNew();
        var position = _loader.Plan.PositionAt(StepsDone);
        double rate = _schedule.RateAt(StepsDone);
        TradeOffDiagnostics tradeOff;
        double squaredNorm;
        int images;
        try
        {
            using var step = Engine.Step.Training(_device, _options.Seed, (ulong)StepsDone, _options.DetectAnomaly);
            var batch = Load(step, position);
            images = batch.Images.Shape[0];
            var losses = _task.Losses(batch);
            Read(losses);
            squaredNorm = ComparesGradients ? MixGradients(step, losses, out tradeOff) : WeighLosses(step, losses, out tradeOff);
        }
        catch (NonFiniteSignalException failure)
        {
            throw new TrainingDivergedException(StepsDone + 1, _task.Objectives[failure.Objective], failure.What);
        }

        if (!double.IsFinite(squaredNorm))
            throw new TrainingDivergedException(StepsDone + 1, string.Join(" + ", _task.Objectives), "the gradient");
        Optimiser.Step(_stores[0].Flat, GradientClip.Scale(squaredNorm, _options.ClipNorm), rate);
        if (Balancer.Needs.HasFlag(BalancerNeeds.LossesAfterStep))
            LookBack(position);
        StepsDone++;
        return new StepReport(StepsDone, position, images, tradeOff, Math.Sqrt(squaredNorm), rate, clock.Elapsed);
    }

    /// <summary>Returns the gradients to the pool.</summary>
    public void Dispose()
    {
        foreach (var store in _stores)
            store.Dispose();
    }

    private bool ComparesGradients =>
        Balancer.Needs.HasFlag(BalancerNeeds.Gram)
        || (_losses.Length > 1 && _options.DiagnosticsEvery > 0 && StepsDone % _options.DiagnosticsEvery == 0);

    /// <summary>One backward pass for each objective, then their mixture, left in the first store.</summary>
    private double MixGradients(Step step, IReadOnlyList<Tensor> losses, out TradeOffDiagnostics tradeOff)
    {
        for (int k = 0; k < losses.Count; k++)
            step.Tape.Backward(losses[k], _stores[k], retain: k + 1 < losses.Count);
        // Shared is what at least two objectives reach: elsewhere no two gradients can disagree, and a head or projector
        // would only add to its own objective's norm.
        _shared ??= _arena.Ranges(parameter => _stores.Count(store => store.Reached(parameter)) >= Math.Min(2, losses.Count));
        var gradients = Array.ConvertAll(_stores, store => store.Flat);
        Flat.Gram(gradients, _shared, _gram);
        var signals = new StepSignals(_losses, _gram);
        var weights = Balancer.Weigh(signals);
        tradeOff = TradeOffDiagnostics.Measure(signals, weights, _task.Task);
        return Flat.Mix(gradients, weights.Coefficients, gradients[0]);
    }

    /// <summary>One backward pass through the weighted sum of the losses.</summary>
    private double WeighLosses(Step step, IReadOnlyList<Tensor> losses, out TradeOffDiagnostics tradeOff)
    {
        var signals = new StepSignals(_losses);
        var weights = Balancer.Weigh(signals);
        tradeOff = TradeOffDiagnostics.Measure(signals, weights, _task.Task);
        var total = Op.Affine(losses[0], weights.Coefficients[0]);
        for (int k = 1; k < losses.Count; k++)
            total += Op.Affine(losses[k], weights.Coefficients[k]);
        step.Tape.Backward(total, _stores[0]);
        return Flat.SquaredNorm(_stores[0].Flat);
    }

    /// <summary>Shows the balancer what the step made of the losses, on the same batch and with the same random masks.</summary>
    private void LookBack(BatchPosition position)
    {
        using var step = Engine.Step.Replay(_device, _options.Seed, (ulong)StepsDone);
        Read(_task.Losses(Load(step, position)));
        Balancer.AfterStep(_losses);
    }

    private Batch Load(Step step, BatchPosition position)
    {
        int size = _loader.SizeOf(position);
        var format = _loader.Format;
        var batch = new Batch(
            step.Empty([size, format.Channels, format.Height, format.Width]), step.Empty([size], DType.I64));
        _loader.Load(position, batch.Images.Span<float>(), batch.Labels.Span<long>());
        return batch;
    }

    private void Read(IReadOnlyList<Tensor> losses)
    {
        for (int k = 0; k < losses.Count; k++)
            _losses[k] = losses[k].Item();
    }
}
