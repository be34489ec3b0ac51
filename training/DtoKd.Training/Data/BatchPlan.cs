using DtoKd.Engine;

namespace DtoKd.Training.Data;

/// <summary>A place in the sequence of batches; all that a resumed run needs to go on with the next one.</summary>
/// <param name="Epoch">Passes over the data before this batch.</param>
/// <param name="Batch">Batches of this epoch before this one.</param>
public readonly record struct BatchPosition(int Epoch, int Batch);

/// <summary>Which images are in which batch: a function of seed, epoch and batch alone.</summary>
/// <remarks>Not safe for several threads: the order of the epoch last asked for is kept.</remarks>
public sealed class BatchPlan
{
    private static readonly uint ShuffleStream = PhiloxStream.StreamOf("data.shuffle");

    private readonly ulong _seed;
    private readonly bool _shuffle;
    private readonly bool _dropLast;
    private readonly int[] _order;
    private int _orderOfEpoch = -1;

    /// <summary>Makes a plan.</summary>
    /// <param name="count">Images in the data set; at least 1.</param>
    /// <param name="batchSize">Images in a batch; at least 1.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="shuffle">A new order in every epoch; otherwise that of the data set.</param>
    /// <param name="dropLast">Leave out a last batch that is not full, as long as there is a full one.</param>
    public BatchPlan(int count, int batchSize, ulong seed, bool shuffle = true, bool dropLast = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        Count = count;
        BatchSize = batchSize;
        _seed = seed;
        _shuffle = shuffle;
        _dropLast = dropLast && batchSize <= count;
        _order = new int[count];
    }

    /// <summary>Images in the data set.</summary>
    public int Count { get; }

    /// <summary>Images in a full batch.</summary>
    public int BatchSize { get; }

    /// <summary>The run's seed.</summary>
    public ulong Seed => _seed;

    /// <summary>Batches in an epoch, at least 1.</summary>
    public int BatchesPerEpoch => _dropLast ? Count / BatchSize : (Count - 1) / BatchSize + 1;

    /// <summary>Where the batch of a training step is.</summary>
    /// <param name="step">Steps taken before.</param>
    /// <returns>Its epoch and its number in it.</returns>
    public BatchPosition PositionAt(long step) =>
        new(checked((int)(step / BatchesPerEpoch)), (int)(step % BatchesPerEpoch));

    /// <summary>The place of the batch that follows.</summary>
    /// <param name="position">A place.</param>
    /// <returns>The next batch of the epoch, or the first one of the next epoch.</returns>
    public BatchPosition Next(BatchPosition position) => position.Batch + 1 < BatchesPerEpoch
        ? position with { Batch = position.Batch + 1 }
        : new BatchPosition(position.Epoch + 1, 0);

    /// <summary>Images in a batch: the batch size, or fewer in the last batch of an epoch.</summary>
    /// <param name="position">Which batch.</param>
    public int SizeOf(BatchPosition position) => Math.Min(BatchSize, Count - (position.Batch * BatchSize));

    /// <summary>The images of a batch.</summary>
    /// <param name="position">Which batch.</param>
    /// <returns>Indices into the data set; valid until a batch of another epoch is asked for.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such batch.</exception>
    public ReadOnlySpan<int> Indices(BatchPosition position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position.Epoch, nameof(position));
        ArgumentOutOfRangeException.ThrowIfNegative(position.Batch, nameof(position));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position.Batch, BatchesPerEpoch, nameof(position));
        if (_orderOfEpoch != position.Epoch)
            Order(position.Epoch);
        return _order.AsSpan(position.Batch * BatchSize, SizeOf(position));
    }

    /// <summary>Fisher and Yates's shuffle, always from the data set's order, so that no epoch depends on another.</summary>
    private void Order(int epoch)
    {
        for (int i = 0; i < _order.Length; i++)
            _order[i] = i;
        _orderOfEpoch = epoch;
        if (!_shuffle)
            return;
        var random = new PhiloxStream(_seed, ShuffleStream, (ulong)epoch);
        for (int i = _order.Length - 1; i > 0; i--)
        {
            int j = (int)random.Below((ulong)i, (uint)i + 1);
            (_order[i], _order[j]) = (_order[j], _order[i]);
        }
    }
}
