using DtoKd.Training.Balancing;

namespace DtoKd.Training.Loop;

/// <summary>Sums over the steps of an epoch: losses, conflicts, images and time.</summary>
internal sealed class EpochTotals(int objectives)
{
    private readonly double[] _losses = new double[objectives];
    private TradeOffTally _tally = new();
    private double _images;
    private double _seconds;

    public double[] MeanLosses => Array.ConvertAll(_losses, sum => sum / _tally.Steps);

    public double? ConflictShare => _tally.StepsWithGram > 0 ? _tally.ConflictShare : null;

    public double ClampedShare => _tally.ClampedShare;

    public double Seconds => _seconds;

    public double ImagesPerSecond => _images / _seconds;

    public void Add(in StepReport report)
    {
        for (int k = 0; k < _losses.Length; k++)
            _losses[k] += report.TradeOff.Losses[k];
        _tally.Add(report.TradeOff);
        _images += report.Images;
        _seconds += report.Elapsed.TotalSeconds;
    }

    public void Reset()
    {
        Array.Clear(_losses);
        _tally = new TradeOffTally();
        _images = _seconds = 0;
    }

    // Times are left out: a resumed run's state shall equal the uninterrupted one's.
    public IReadOnlyDictionary<string, double[]> SaveState() =>
        new Dictionary<string, double[]>(_tally.SaveState()) { ["losses"] = [.. _losses] };

    public void LoadState(IReadOnlyDictionary<string, double[]> state)
    {
        _tally.LoadState(state);
        if (!state.TryGetValue("losses", out var losses) || losses.Length != _losses.Length)
            throw new InvalidDataException($"the state of the epoch lacks {_losses.Length} losses");
        losses.CopyTo(_losses, 0);
    }
}
