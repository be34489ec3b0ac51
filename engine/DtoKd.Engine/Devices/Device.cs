using System.Collections.Concurrent;

namespace DtoKd.Engine;

/// <summary>Where tensors live and operations run. It owns the memory pool; it knows no operation.</summary>
public abstract class Device : IDisposable
{
    private readonly ConcurrentBag<StepLists> _lists = [];

    private protected Device(Pool pool, bool isHost)
    {
        Pool = pool;
        IsHost = isHost;
    }

    /// <summary>A short name, as <c>--device</c> takes it: <c>cpu</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Whether kernels run. Where they do not, operations check their inputs, take memory and record as ever, but leave their
    /// results undefined: what a step would cost is known without its time.
    /// </summary>
    public bool Computes { get; private protected init; } = true;

    /// <summary>Whether it goes on computing what it was asked for while the host does something else.</summary>
    public bool IsAsynchronous => !IsHost;

    /// <summary>The pool that every storage on this device comes from.</summary>
    public Pool Pool { get; }

    /// <summary>Measures where the time of steps goes; null, at first, for not measuring.</summary>
    public virtual OpProfile? Profile { get; set; }

    /// <summary>Whether tensors lie in the host's memory, where it can read and write them in place.</summary>
    internal bool IsHost { get; }

    /// <summary>Waits until everything that was asked of the device is done: before a clock is read.</summary>
    public virtual void Synchronize()
    {
    }

    /// <summary>Empty lists for a step, with the room that an earlier one needed.</summary>
    internal StepLists RentLists() => _lists.TryTake(out var lists) ? lists : new StepLists();

    /// <summary>Keeps the lists of a step that has ended for another one.</summary>
    internal void Return(StepLists lists)
    {
        lists.Clear();
        _lists.Add(lists);
    }

    /// <summary>Makes room for input; see <see cref="DeviceInput"/>.</summary>
    internal abstract DeviceInput NewInput(long bytes);

    /// <summary>Copies bytes of a storage to the host.</summary>
    internal abstract void Read(Storage source, long offset, Span<byte> target);

    /// <summary>Copies bytes of the host into a storage. The host's may change as soon as this returns.</summary>
    internal abstract void Write(ReadOnlySpan<byte> source, Storage target, long offset);

    /// <summary>Sets bytes of a storage to zero.</summary>
    internal abstract void Clear(Storage target, long offset, long bytes);

    /// <summary>Sets every element of a contiguous, not empty tensor of any type.</summary>
    internal abstract void Fill(Tensor target, double value);

    /// <summary>Releases threads and cached memory. Tensors of the device must not be used afterwards.</summary>
    public virtual void Dispose()
    {
        Pool.Trim();
        GC.SuppressFinalize(this);
    }
}
