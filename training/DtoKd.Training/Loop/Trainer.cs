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
/// <param name="Elapsed">The time it took.</param>
public readonly record struct StepReport(
    long Step, BatchPosition Position, int Images, TradeOffDiagnostics TradeOff, double GradientNorm, double LearningRate, TimeSpan Elapsed);

/// <summary>
/// Runs training steps. The order of one step is written here and nowhere else: forward, losses, backward passes (part by part),
/// clipping of each, Gram matrix, weights, mixing, clipping, optimiser. A rule that needs one backward pass only gets it through
/// the weighted sum of the losses, after the weights.
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
    private readonly GradStore? _part;
    private readonly double[] _losses;
    private readonly double[] _gram;
    private readonly double[] _featureGram;
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
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Accumulate, 1, nameof(options));
        (_device, _arena, _task, Balancer, Optimiser) = (device, arena, task, balancer, optimiser);
        (_schedule, _loader, _options) = (schedule, loader, options);
        _losses = new double[objectives];
        _gram = new double[objectives * objectives];
        _featureGram = ComparesFeatures ? new double[objectives * objectives] : [];
        bool comparesGradients = NeedsEach || (options.DiagnosticsEvery > 0 && objectives > 1);
        _stores = [.. Enumerable.Range(0, comparesGradients ? objectives : 1).Select(_ => new GradStore(arena))];
        _part = options.Accumulate > 1 ? new GradStore(arena) : null;
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
        try
        {
            squaredNorm = ComparesGradients ? MixGradients(position, out tradeOff) : WeighLosses(position, out tradeOff);
        }
        catch (NonFiniteSignalException failure)
        {
            throw new TrainingDivergedException(StepsDone + 1, _task.Objectives[failure.Objective], failure.What);
        }

        if (!double.IsFinite(squaredNorm))
            throw new TrainingDivergedException(StepsDone + 1, string.Join(" + ", _task.Objectives), "the gradient");
        Optimiser.Step(_stores[0].Flat, GradientClip.Scale(squaredNorm, _options.ClipNorm), rate);
        if (Balancer.Needs.HasFlag(BalancerNeeds.LossesAfterStep))
        {
            Look(position, withFeatures: false);
            Balancer.AfterStep(_losses);
        }

        StepsDone++;
        return new StepReport(StepsDone, position, _loader.SizeOf(position), tradeOff, Math.Sqrt(squaredNorm), rate, clock.Elapsed);
    }

    /// <summary>Returns the gradients to the pool.</summary>
    public void Dispose()
    {
        foreach (var store in _stores)
            store.Dispose();
        _part?.Dispose();
    }

    private bool NeedsEach => Balancer.Needs.HasFlag(BalancerNeeds.Gram) || _options.ClipEach is not null;

    private bool ComparesFeatures => Balancer.Needs.HasFlag(BalancerNeeds.FeatureGram);

    private bool ComparesGradients =>
        NeedsEach || (_losses.Length > 1 && _options.DiagnosticsEvery > 0 && StepsDone % _options.DiagnosticsEvery == 0);

    /// <summary>One backward pass for each objective, then their mixture, left in the first store.</summary>
    private double MixGradients(BatchPosition position, out TradeOffDiagnostics tradeOff)
    {
        Clear();
        foreach (var part in Parts(position))
        {
            using var step = Begin(part);
            var losses = _task.Losses(Load(step, position, part));
            Add(step, losses, part, ComparesFeatures);
            for (int k = 0; k < _losses.Length; k++)
                Backward(step, Op.Affine(losses.Values[k], part.Share), part, _stores[k], retain: k + 1 < _losses.Length);
        }

        // Shared is what at least two objectives reach: elsewhere no two gradients can disagree, and a head or projector
        // would only add to its own objective's norm.
        _shared ??= _arena.Ranges(parameter => _stores.Count(store => store.Reached(parameter)) >= Math.Min(2, _losses.Length));
        var gradients = Array.ConvertAll(_stores, store => store.Flat);
        Flat.Gram(gradients, _shared, _gram);
        var clip = Array.ConvertAll(gradients, g => _options.ClipEach is null ? 1 : GradientClip.Scale(Flat.SquaredNorm(g), _options.ClipEach));
        Scale(_gram, clip);
        Scale(_featureGram, clip);
        var weights = Weigh(_gram, out tradeOff);
        for (int k = 0; k < clip.Length; k++)
            clip[k] *= weights.Coefficients[k];
        return Flat.Mix(gradients, clip, gradients[0]);
    }

    /// <summary>One backward pass through the weighted sum of the losses.</summary>
    private double WeighLosses(BatchPosition position, out TradeOffDiagnostics tradeOff)
    {
        tradeOff = null!;
        StepWeights? weights = null;
        if (_options.Accumulate > 1)
        {
            // The weights follow from the losses of the whole batch: one more forward pass is less than keeping all parts or
            // a backward pass for each objective.
            Look(position, ComparesFeatures);
            weights = Weigh([], out tradeOff);
        }

        foreach (var part in Parts(position))
        {
            using var step = Begin(part);
            var losses = _task.Losses(Load(step, position, part));
            if (weights is null)
            {
                Clear();
                Add(step, losses, part, ComparesFeatures);
                weights = Weigh([], out tradeOff);
            }

            var total = Op.Affine(losses.Values[0], weights.Coefficients[0] * part.Share);
            for (int k = 1; k < _losses.Length; k++)
                total += Op.Affine(losses.Values[k], weights.Coefficients[k] * part.Share);
            Backward(step, total, part, _stores[0], retain: false);
        }

        return Flat.SquaredNorm(_stores[0].Flat);
    }

    /// <summary>Asks the balancer; what is told of the step's geometry is that of the parameters' gradients, where known.</summary>
    private StepWeights Weigh(ReadOnlySpan<double> gram, out TradeOffDiagnostics tradeOff)
    {
        var weights = Balancer.Weigh(new StepSignals(_losses, ComparesFeatures ? _featureGram : gram));
        tradeOff = TradeOffDiagnostics.Measure(new StepSignals(_losses, gram), weights, _task.Task);
        return weights;
    }

    /// <summary>The first part's gradient takes the place of what is in the store, the others' are added.</summary>
    private void Backward(Step step, Tensor loss, Part part, GradStore store, bool retain)
    {
        step.Tape.Backward(loss, part.Index == 0 ? store : _part!, retain);
        if (part.Index > 0)
            Flat.Mix([store.Flat, _part!.Flat], [1, 1], store.Flat);
    }

    /// <summary>
    /// Computes the losses of a batch, and if asked for their gradients at the representation, with the random masks of this
    /// step, and changes nothing else.
    /// </summary>
    private void Look(BatchPosition position, bool withFeatures)
    {
        Clear();
        foreach (var part in Parts(position))
        {
            using var step = Engine.Step.Replay(_device, _options.Seed, NumberOf(part), record: withFeatures);
            Add(step, _task.Losses(Load(step, position, part)), part, withFeatures);
        }
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

    private Batch Load(Step step, BatchPosition position, Part part)
    {
        var format = _loader.Format;
        var batch = new Batch(
            step.Empty([part.Count, format.Channels, format.Height, format.Width]), step.Empty([part.Count], DType.I64));
        using var pixels = batch.Images.OnHost<float>();
        using var labels = batch.Labels.OnHost<long>();
        _loader.Load(position, part.First, part.Count, pixels.Span, labels.Span);
        return batch;
    }

    private void Clear()
    {
        Array.Clear(_losses);
        Array.Clear(_featureGram);
    }

    /// <summary>Losses are means over images: the batch's are those of its parts by their share of the images.</summary>
    private void Add(Step step, TaskLosses losses, Part part, bool withFeatures)
    {
        for (int k = 0; k < _losses.Length; k++)
            _losses[k] += part.Share * losses.Values[k].Item();
        if (withFeatures)
            FeatureGram.Add(step, losses, part.Share, _featureGram);
    }

    private static void Scale(double[] gram, double[] factors)
    {
        for (int i = 0; i < gram.Length; i++)
            gram[i] *= factors[i / factors.Length] * factors[i % factors.Length];
    }

    /// <summary>A part of a batch.</summary>
    /// <param name="Index">Its number.</param>
    /// <param name="First">Its first image.</param>
    /// <param name="Count">Its images.</param>
    /// <param name="Share">Its share of the batch's images.</param>
    private readonly record struct Part(int Index, int First, int Count, double Share);
}
