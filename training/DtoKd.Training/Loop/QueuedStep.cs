using DtoKd.Engine;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;

namespace DtoKd.Training.Loop;

/// <summary>What is known of a step that was asked for, and where among its readings the rest will be.</summary>
internal sealed class QueuedStep(Device device, int objectives) : IDisposable
{
    private readonly List<(int Place, double Share)> _losses = [];
    private readonly List<FeatureProducts> _features = [];
    private int _gram;
    private double[] _clip = [];

    public Readings Readings { get; } = new(device);

    /// <summary>[K] the losses, once read.</summary>
    public double[] Losses { get; } = new double[objectives];

    /// <summary>[K, K] the gradients' inner products, once read; empty where they were not taken.</summary>
    public double[] Gram { get; private set; } = [];

    /// <summary>[K, K] as <see cref="Gram"/>, at the representation.</summary>
    public double[] FeatureGram { get; private set; } = [];

    public long Step { get; private set; }

    public BatchPosition Position { get; private set; }

    public double LearningRate { get; private set; }

    public long Start { get; private set; }

    /// <summary>The weights, as soon as they are decided.</summary>
    public StepWeights? Weights { get; set; }

    public TradeOffDiagnostics? TradeOff { get; set; }

    /// <summary>The place of the square of the mixed gradient's norm.</summary>
    public int SquaredNorm { get; set; }

    public void Begin(long step, BatchPosition position, double learningRate)
    {
        (Step, Position, LearningRate) = (step, position, learningRate);
        (Weights, TradeOff, Gram, FeatureGram) = (null, null, [], []);
        _clip = [];
        _losses.Clear();
        _features.Clear();
        Readings.Clear();
        Start = System.Diagnostics.Stopwatch.GetTimestamp();
    }

    /// <summary>Takes the losses of a part of the batch: they are means over its images.</summary>
    public void AddLosses(TaskLosses losses, double share)
    {
        foreach (var loss in losses.Values)
            _losses.Add((Readings.Add(loss), share));
    }

    /// <summary>Takes the products of a part's gradients at the representation.</summary>
    public void AddFeatures(Step step, TaskLosses losses, double share)
    {
        FeatureGram = new double[objectives * objectives];
        _features.AddRange(FeatureProducts.Take(Readings, step, losses, share));
    }

    public void AddGram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges)
    {
        Gram = new double[objectives * objectives];
        _gram = Readings.AddGram(gradients, ranges);
    }

    /// <summary>Takes the losses, and the products at the representation, from a record that was read.</summary>
    public void TakeOver(QueuedStep look)
    {
        look.Losses.CopyTo(Losses, 0);
        FeatureGram = [.. look.FeatureGram];
    }

    /// <summary>Multiplies each objective's gradient, in the products, with a factor.</summary>
    public void Clip(double[] factors)
    {
        _clip = [.. factors];
        Scale(Gram);
        Scale(FeatureGram);
    }

    /// <summary>Waits for what was taken so far.</summary>
    public void Read()
    {
        Readings.Send();
        Receive();
    }

    /// <summary>Waits for the numbers that were sent, and puts them where they belong.</summary>
    public void Receive()
    {
        var values = Readings.Values;
        if (_losses.Count > 0)
            Array.Clear(Losses);
        for (int i = 0; i < _losses.Count; i++)
            Losses[i % objectives] += _losses[i].Share * values[_losses[i].Place];
        if (Gram.Length > 0)
            Readings.CopyGram(_gram, Gram);
        if (_features.Count > 0)
            Array.Clear(FeatureGram);
        foreach (var products in _features)
            products.AddTo(Readings, FeatureGram, objectives);
        Scale(Gram);
        Scale(FeatureGram);
    }

    public void Dispose() => Readings.Dispose();

    private void Scale(double[] gram)
    {
        for (int i = 0; i < gram.Length && _clip.Length > 0; i++)
            gram[i] *= _clip[i / objectives] * _clip[i % objectives];
    }
}
