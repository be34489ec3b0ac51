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
    /// The largest norm of each objective's gradient before the balancer sees it and mixes; null for no clipping. Costs a
    /// backward pass for each objective at every step.
    /// </summary>
    public double? ClipEach { get; init; }

    /// <summary>
    /// In how many parts a batch is computed, one after the other: activations take the memory of one part. Losses and
    /// gradients are those of the whole batch, but batch norm sees the parts by themselves.
    /// </summary>
    public int Accumulate { get; init; } = 1;

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
/// <param name="Elapsed">The time it took: until it was reported, from its beginning or the report of the step before.</param>
public readonly record struct StepReport(
    long Step, BatchPosition Position, int Images, TradeOffDiagnostics TradeOff, double GradientNorm, double LearningRate, TimeSpan Elapsed);

/// <summary>
/// Runs training steps. The order of one step is written here and nowhere else: forward, losses, backward passes (part by part),
/// clipping of each, Gram matrix, weights, mixing, clipping, optimiser. A rule that needs one backward pass only gets it through
/// the weighted sum of the losses, after the weights.
/// </summary>
/// <remarks>
/// A step is asked for with <see cref="Queue"/> and told of by <see cref="Report"/>. In between the numbers are on the device, and
/// the host may ask for the next step: it waits for no number that it does not decide by, which are the losses or the Gram matrix
/// where the balancer looks at them.
/// </remarks>
public sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly ParameterArena _arena;
    private readonly TrainingTask _task;
    private readonly Schedule _schedule;
    private readonly BatchLoader _loader;
    private readonly BatchFeeder _feeder;
    private readonly TrainerOptions _options;

    // One for each objective where gradients are compared, else one; the first ends up with the mixture.
    private readonly GradStore[] _stores;

    // The gradient of a batch's later part, before it is added to those of the parts before.
    private readonly GradStore? _part;
    private readonly UpdateScale _scale;

    // Taken in turn by the steps under way.
    private readonly QueuedStep[] _records;
    private readonly Queue<QueuedStep> _queued = [];

    // For looking at losses without taking a step.
    private readonly QueuedStep _look;
    private readonly int _objectives;

    // Known once the first backward passes have shown who reaches what.
    private IReadOnlyList<FlatRange>? _shared;

    // The time stamp of the last report.
    private long _reported;

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
        _objectives = task.Objectives.Count;
        if (balancer.Objectives != _objectives)
            throw new ArgumentException($"balancer {balancer.Name} weighs {balancer.Objectives} objectives, the task has {_objectives}");
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Accumulate, 1, nameof(options));
        (_device, _arena, _task, Balancer, Optimiser) = (device, arena, task, balancer, optimiser);
        (_schedule, _loader, _options) = (schedule, loader, options);
        bool comparesGradients = NeedsEach || (options.DiagnosticsEvery > 0 && _objectives > 1);
        _stores = [.. Enumerable.Range(0, comparesGradients ? _objectives : 1).Select(_ => new GradStore(arena))];
        _part = options.Accumulate > 1 ? new GradStore(arena) : null;
        _scale = new UpdateScale(device);
        _records = [.. Enumerable.Range(0, MostAhead + 1).Select(_ => new QueuedStep(device, _objectives))];
        _look = new QueuedStep(device, _objectives);
        int batch = Math.Min(loader.Plan.BatchSize, loader.Plan.Count);
        _feeder = new BatchFeeder(device, loader, (batch + options.Accumulate - 1) / options.Accumulate);
    }

    /// <summary>Steps asked for since the beginning of the run.</summary>
    public long StepsDone { get; set; }

    /// <summary>Steps that were asked for and are not reported yet.</summary>
    public int Queued => _queued.Count;

    /// <summary>How many steps may stay unreported when the next is asked for: where the device does not wait for the host, one.</summary>
    public int MostAhead => _device.IsAsynchronous ? 1 : 0;

    /// <summary>How the objectives are weighed.</summary>
    public Balancer Balancer { get; }

    /// <summary>What changes the parameters.</summary>
    public Optimiser Optimiser { get; }

    /// <summary>The names of the objectives.</summary>
    public IReadOnlyList<string> Objectives => _task.Objectives;

    /// <summary>Takes one training step and waits for it.</summary>
    /// <exception cref="InvalidOperationException">An earlier step is not reported yet.</exception>
    /// <inheritdoc cref="Report"/>
    public StepReport Step()
    {
        if (Queued > 0)
            throw new InvalidOperationException($"{Queued} steps are not reported yet");
        Queue();
        return Report();
    }

    /// <summary>Asks for one training step.</summary>
    /// <exception cref="InvalidOperationException">As many steps as <see cref="MostAhead"/> and this one are not reported yet.</exception>
    /// <exception cref="TrainingDivergedException">A loss or gradient that weights depend on is not finite.</exception>
    /// <exception cref="AnomalyException">An operation gave NaN or infinity, and anomalies are looked for.</exception>
    /// <exception cref="InsufficientMemoryException">The batch does not fit into the device's memory.</exception>
    public void Queue()
    {
        if (Queued > MostAhead)
            throw new InvalidOperationException($"{Queued} steps are not reported yet, at most {MostAhead + 1} may be");
        var position = _loader.Plan.PositionAt(StepsDone);
        var record = _records[StepsDone % _records.Length];
        record.Begin(StepsDone + 1, position, _schedule.RateAt(StepsDone));
        try
        {
            record.SquaredNorm = ComparesGradients ? MixGradients(record) : WeighLosses(record);
            _scale.Set(record.Readings, record.SquaredNorm, _options.ClipNorm);
            record.Readings.Send();
            Optimiser.Step(_stores[0].Flat, _scale, record.LearningRate);
            if (LooksAfter)
            {
                Look(position, withFeatures: false, then: _loader.Plan.Next(position));
                Balancer.AfterStep(_look.Losses);
            }
        }
        catch (NonFiniteSignalException failure)
        {
            throw Diverged(record, failure);
        }
        catch (InsufficientMemoryException failure)
        {
            int images = _loader.SizeOf(position);
            string parts = _options.Accumulate > 1 ? $" in {_options.Accumulate} parts" : "";
            throw new InsufficientMemoryException($"a step of {images} images{parts} does not fit: {failure.Message}", failure);
        }

        StepsDone++;
        _queued.Enqueue(record);
    }

    /// <summary>Waits for the first step that is not reported yet.</summary>
    /// <returns>What it did.</returns>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    /// <exception cref="TrainingDivergedException">
    /// A loss or gradient is not finite; the parameters are as before that step, and stay so.
    /// </exception>
    public StepReport Report()
    {
        var record = _queued.Dequeue();
        record.Receive();
        double squaredNorm = record.Readings.Values[record.SquaredNorm];
        try
        {
            record.TradeOff ??= CheckedTradeOff(record);
        }
        catch (NonFiniteSignalException failure)
        {
            throw Diverged(record, failure);
        }

        if (!double.IsFinite(squaredNorm))
            throw new TrainingDivergedException(record.Step, string.Join(" + ", _task.Objectives), "the gradient");
        var elapsed = Stopwatch.GetElapsedTime(Math.Max(record.Start, _reported));
        _reported = Stopwatch.GetTimestamp();
        return new StepReport(
            record.Step,
            record.Position,
            _loader.SizeOf(record.Position),
            record.TradeOff,
            Math.Sqrt(squaredNorm),
            record.LearningRate,
            elapsed);
    }

    /// <summary>Returns the gradients to the pool.</summary>
    public void Dispose()
    {
        foreach (var store in _stores)
            store.Dispose();
        foreach (var record in _records)
            record.Dispose();
        _part?.Dispose();
        _scale.Dispose();
        _look.Dispose();
        _feeder.Dispose();
    }

    private bool NeedsEach => Balancer.Needs.HasFlag(BalancerNeeds.Gram) || _options.ClipEach is not null;

    private bool ComparesFeatures => Balancer.Needs.HasFlag(BalancerNeeds.FeatureGram);

    private bool LooksAfter => Balancer.Needs.HasFlag(BalancerNeeds.LossesAfterStep);

    private bool ComparesGradients =>
        NeedsEach || (_objectives > 1 && _options.DiagnosticsEvery > 0 && StepsDone % _options.DiagnosticsEvery == 0);

    /// <summary>One backward pass for each objective, then their mixture, left in the first store.</summary>
    private int MixGradients(QueuedStep record)
    {
        foreach (var part in Parts(record.Position))
        {
            using var step = Begin(part);
            var losses = _task.Losses(Load(step, record.Position, part, After(record.Position)));
            Take(step, losses, part, ComparesFeatures, record);
            for (int k = 0; k < _objectives; k++)
                Backward(step, Op.Affine(losses.Values[k], part.Share), part, _stores[k], retain: k + 1 < _objectives);
        }

        // Shared is what at least two objectives reach: elsewhere no two gradients can disagree, and a head or projector
        // would only add to its own objective's norm.
        _shared ??= _arena.Ranges(parameter => _stores.Count(store => store.Reached(parameter)) >= Math.Min(2, _objectives));
        var gradients = Array.ConvertAll(_stores, store => store.Flat);
        record.AddGram(gradients, _shared);
        var clip = new double[_objectives];
        Array.Fill(clip, 1);
        if (_options.ClipEach is not null)
        {
            int[] norms = Array.ConvertAll(gradients, record.Readings.AddSquaredNorm);
            record.Read();
            for (int k = 0; k < clip.Length; k++)
                clip[k] = GradientClip.Scale(record.Readings.Values[norms[k]], _options.ClipEach);
            record.Clip(clip);
        }
        else if (!Balancer.IsBlind)
        {
            record.Read();
        }

        var weights = Weigh(record);
        for (int k = 0; k < clip.Length; k++)
            clip[k] *= weights.Coefficients[k];
        return record.Readings.AddMix(gradients, clip, gradients[0]);
    }

    /// <summary>One backward pass through the weighted sum of the losses.</summary>
    private int WeighLosses(QueuedStep record)
    {
        if (Balancer.IsBlind)
        {
            Weigh(record);
        }
        else if (_options.Accumulate > 1)
        {
            // The weights follow from the losses of the whole batch: one more forward pass is less than keeping all parts or
            // a backward pass for each objective.
            Look(record.Position, ComparesFeatures, then: record.Position);
            record.TakeOver(_look);
            Weigh(record);
        }

        foreach (var part in Parts(record.Position))
        {
            using var step = Begin(part);
            var losses = _task.Losses(Load(step, record.Position, part, After(record.Position)));
            if (record.Weights is null || Balancer.IsBlind)
                Take(step, losses, part, ComparesFeatures, record);
            if (record.Weights is null)
            {
                record.Read();
                Weigh(record);
            }

            var coefficients = record.Weights!.Coefficients;
            var total = Op.Affine(losses.Values[0], coefficients[0] * part.Share);
            for (int k = 1; k < _objectives; k++)
                total += Op.Affine(losses.Values[k], coefficients[k] * part.Share);
            Backward(step, total, part, _stores[0], retain: false);
        }

        return record.Readings.AddSquaredNorm(_stores[0].Flat);
    }

    /// <summary>Asks the balancer. What it looks at has been read.</summary>
    private StepWeights Weigh(QueuedStep record)
    {
        if (Balancer.IsBlind)
        {
            // The next step's weights are asked for before this step is told of.
            return record.Weights = Balancer.Weigh(default).Copy();
        }

        record.Weights = Balancer.Weigh(new StepSignals(record.Losses, ComparesFeatures ? record.FeatureGram : record.Gram));
        record.TradeOff = TradeOff(record);
        return record.Weights;
    }

    /// <summary>What is reported of the step: the geometry is that of the parameters' gradients, where they are known.</summary>
    private TradeOffDiagnostics TradeOff(QueuedStep record) =>
        TradeOffDiagnostics.Measure(new StepSignals(record.Losses, record.Gram), record.Weights!, _task.Task);

    /// <summary>As <see cref="TradeOff"/>, of a step whose numbers no rule has looked at.</summary>
    private TradeOffDiagnostics CheckedTradeOff(QueuedStep record)
    {
        Balancer.Check(new StepSignals(record.Losses, record.Gram));
        return TradeOff(record);
    }

    private TrainingDivergedException Diverged(QueuedStep record, NonFiniteSignalException failure) =>
        new(record.Step, _task.Objectives[failure.Objective], failure.What);

    /// <summary>The first part's gradient takes the place of what is in the store, the others' are added.</summary>
    private void Backward(Step step, Tensor loss, Part part, GradStore store, bool retain)
    {
        step.Tape.Backward(loss, part.Index == 0 ? store : _part!, retain);
        if (part.Index > 0)
            Flat.Add(_part!.Flat, store.Flat);
    }

    /// <summary>
    /// Computes and reads the losses of a batch, and if asked for their gradients at the representation, with the random masks of
    /// this step, and changes nothing else.
    /// </summary>
    private void Look(BatchPosition position, bool withFeatures, BatchPosition then)
    {
        _look.Begin(StepsDone + 1, position, 0);
        foreach (var part in Parts(position))
        {
            using var step = Engine.Step.Replay(_device, _options.Seed, NumberOf(part), record: withFeatures);
            Take(step, _task.Losses(Load(step, position, part, then)), part, withFeatures, _look);
        }

        _look.Read();
    }

    private IEnumerable<Part> Parts(BatchPosition position)
    {
        int size = _loader.SizeOf(position), parts = Math.Min(size, _options.Accumulate);
        for (int i = 0; i < parts; i++)
        {
            int first = (int)((long)size * i / parts), end = (int)((long)size * (i + 1) / parts);
            yield return new Part(i, first, end - first, (double)(end - first) / size);
        }
    }

    private Step Begin(Part part) => Engine.Step.Training(_device, _options.Seed, NumberOf(part), _options.DetectAnomaly);

    /// <summary>Every part has random numbers of its own.</summary>
    private ulong NumberOf(Part part) => (ulong)(StepsDone * _options.Accumulate + part.Index);

    /// <summary>The batch whose parts are asked for after those of this one.</summary>
    private BatchPosition After(BatchPosition position) => LooksAfter ? position : _loader.Plan.Next(position);

    private Batch Load(Step step, BatchPosition position, Part part, BatchPosition then)
    {
        var following = Parts(position).FirstOrDefault(other => other.Index == part.Index + 1);
        return _feeder.Next(
            step,
            new BatchPart(position, part.First, part.Count),
            following.Count > 0
                ? new BatchPart(position, following.First, following.Count)
                : new BatchPart(then, 0, Parts(then).First().Count));
    }

    private static void Take(Step step, TaskLosses losses, Part part, bool withFeatures, QueuedStep record)
    {
        record.AddLosses(losses, part.Share);
        if (withFeatures)
            record.AddFeatures(step, losses, part.Share);
    }

    /// <summary>A part of a batch.</summary>
    /// <param name="Index">Its number.</param>
    /// <param name="First">Its first image.</param>
    /// <param name="Count">Its images.</param>
    /// <param name="Share">Its share of the batch's images.</param>
    private readonly record struct Part(int Index, int First, int Count, double Share);
}
