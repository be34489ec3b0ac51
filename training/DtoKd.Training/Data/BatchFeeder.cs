using System.Runtime.ExceptionServices;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Data;

/// <summary>Some images of a batch.</summary>
/// <param name="Position">The batch.</param>
/// <param name="First">The first image.</param>
/// <param name="Count">The number of images.</param>
public readonly record struct BatchPart(BatchPosition Position, int First, int Count);

/// <summary>
/// Brings batches to a device. One that computes by itself gets the next batch meanwhile: other threads put it together and its
/// copy runs beside the computation. What is brought does not depend on it.
/// </summary>
public sealed class BatchFeeder : IDisposable
{
    // One that is computed on, one that the device may still be at when the host has gone ahead, one that is filled.
    private const int MostSlots = 3;

    // Images that a thread puts together at a time.
    private const int Stretch = 8;

    private readonly Device _device;
    private readonly BatchLoader _loader;
    private readonly long _labelsAt;
    private readonly int _images;
    private readonly List<Slot> _slots = [];
    private Slot? _current;

    /// <summary>Makes a feeder.</summary>
    /// <param name="device">Where the batches go.</param>
    /// <param name="loader">What puts them together.</param>
    /// <param name="images">The most images of a part.</param>
    public BatchFeeder(Device device, BatchLoader loader, int images)
    {
        (_device, _loader, _images) = (device, loader, images);
        _labelsAt = (((long)images * loader.Format.ImageSize * sizeof(float)) + sizeof(long) - 1) / sizeof(long) * sizeof(long);
    }

    /// <summary>Brings a part of a batch into a step, and begins with the one that follows.</summary>
    /// <param name="step">The step that computes on it.</param>
    /// <param name="part">The part; it stays as it is until two others were asked for.</param>
    /// <param name="then">The part that will be asked for next; null if none.</param>
    /// <exception cref="InvalidDataException">An image of the part is damaged.</exception>
    public Batch Next(Step step, BatchPart part, BatchPart? then)
    {
        var slot = SlotOf(part) ?? Fill(part, _device.IsAsynchronous);
        slot.Finish();
        if (slot != _current)
        {
            _current?.Input.Release();
            _current = slot;
        }

        if (_device.IsAsynchronous && then is { } following && SlotOf(following) is null)
            Fill(following, apart: true);
        var format = _loader.Format;
        return new Batch(
            slot.Input.View(step, 0, [part.Count, format.Channels, format.Height, format.Width], DType.F32),
            slot.Input.View(step, _labelsAt, [part.Count], DType.I64));
    }

    /// <summary>Waits for what is under way and gives the memory back.</summary>
    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Abandon();
            slot.Input.Dispose();
        }

        _slots.Clear();
    }

    private Slot? SlotOf(BatchPart part) => _slots.Find(slot => slot.Part == part);

    private Slot Fill(BatchPart part, bool apart)
    {
        var slot = FreeSlot();
        slot.Part = default;
        // The plan keeps the order of one epoch only: it is asked by this thread alone.
        int[] indices = _loader.Plan.Indices(part.Position).Slice(part.First, part.Count).ToArray();
        if (apart)
        {
            slot.Filling = Task.Run(() => Fill(slot, part.Position.Epoch, indices));
        }
        else
        {
            ((CpuDevice)_device).Team.For(indices.Length, image => Load(slot, part.Position.Epoch, indices, image, 1));
            slot.Input.Send();
        }

        slot.Part = part;
        return slot;
    }

    private void Fill(Slot slot, int epoch, int[] indices)
    {
        slot.Input.AwaitSent();
        try
        {
            Parallel.For(
                0, (indices.Length + Stretch - 1) / Stretch, stretch => Load(slot, epoch, indices, stretch * Stretch, Stretch));
        }
        catch (AggregateException failures)
        {
            // As where one thread does it all.
            ExceptionDispatchInfo.Throw(failures.Flatten().InnerExceptions[0]);
        }

        slot.Input.Send();
    }

    private void Load(Slot slot, int epoch, int[] indices, int first, int count)
    {
        count = Math.Min(count, indices.Length - first);
        _loader.Load(epoch, indices.AsSpan(first, count), Images(slot, first, count), Labels(slot, first, count));
    }

    /// <summary>The one that was used the longest time ago; in the host's memory there is one only.</summary>
    private Slot FreeSlot()
    {
        Slot slot;
        if (_slots.Count < (_device.IsAsynchronous ? MostSlots : 1))
        {
            slot = new Slot(DeviceInput.Of(_device, _labelsAt + ((long)_images * sizeof(long))));
        }
        else
        {
            slot = _slots.First(one => one != _current || _slots.Count == 1);
            _slots.Remove(slot);
            slot.Abandon();
        }

        _slots.Add(slot);
        return slot;
    }

    private Span<float> Images(Slot slot, int first, int count) =>
        slot.Input.Host<float>((long)first * _loader.Format.ImageSize * sizeof(float), count * _loader.Format.ImageSize);

    private Span<long> Labels(Slot slot, int first, int count) =>
        slot.Input.Host<long>(_labelsAt + ((long)first * sizeof(long)), count);

    private sealed class Slot(DeviceInput input)
    {
        public DeviceInput Input { get; } = input;

        public BatchPart Part { get; set; }

        public Task? Filling { get; set; }

        /// <summary>Waits until it is filled.</summary>
        public void Finish()
        {
            var (filling, part) = (Filling, Part);
            // If it fails, nothing is there.
            (Filling, Part) = (null, default);
            filling?.GetAwaiter().GetResult();
            Part = part;
        }

        /// <summary>Waits until nobody writes to it. What went wrong with images that nobody asked for is nobody's affair.</summary>
        public void Abandon()
        {
            if (Filling is not null)
                Task.WaitAny(Filling);
            Filling = null;
        }
    }
}
