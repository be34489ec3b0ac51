namespace DtoKd.Engine;

/// <summary>
/// Room for a device's input that the host fills, on any thread, while the device computes something else. A turn: write to
/// <see cref="Host"/>, <see cref="Send"/>, read <see cref="View"/> in steps, <see cref="Release"/>.
/// </summary>
public abstract class DeviceInput : IDisposable
{
    private bool _disposed;

    private protected DeviceInput(Device device, long bytes)
    {
        Device = device;
        Storage = device.Pool.Rent(bytes, "input");
    }

    private protected Device Device { get; }

    private protected Storage Storage { get; }

    /// <summary>Makes room.</summary>
    /// <param name="device">Where the input is read.</param>
    /// <param name="bytes">The size.</param>
    /// <exception cref="InsufficientMemoryException">There is none.</exception>
    public static DeviceInput Of(Device device, long bytes) => device.NewInput(bytes);

    /// <summary>Waits until what was sent before has left the host's memory, so that it may be written to again.</summary>
    public abstract void AwaitSent();

    /// <summary>A part of the host's memory to write to.</summary>
    /// <param name="offset">Where it begins, in bytes.</param>
    /// <param name="count">The number of elements.</param>
    public abstract Span<T> Host<T>(long offset, int count)
        where T : unmanaged;

    /// <summary>Begins to copy what was written, once nothing reads the room's last contents any more. Does not wait.</summary>
    public abstract void Send();

    /// <summary>A part of what was sent as a tensor of a step.</summary>
    /// <param name="step">The step that reads it.</param>
    /// <param name="offset">Where it begins, in bytes: a multiple of the elements' size.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="dtype">Its type.</param>
    public virtual Tensor View(Step step, long offset, Shape shape, DType dtype)
    {
        Storage.Retain();
        var tensor = new Tensor(Device, Storage, dtype, shape, Strides.Contiguous(shape), offset / dtype.Size(), "input") { Step = step };
        step.Own(tensor);
        return tensor;
    }

    /// <summary>All that reads the room's contents has been asked for: the next <see cref="Send"/> waits for that much.</summary>
    public abstract void Release();

    /// <summary>Returns the room to the pool.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Close();
        Storage.Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Waits for what is under way, and lets go of what a device has beside the room.</summary>
    private protected abstract void Close();
}

/// <summary>Input of a device in the host's memory: it is written where it is read.</summary>
internal sealed unsafe class HostInput(Device device, long bytes) : DeviceInput(device, bytes)
{
    public override void AwaitSent()
    {
    }

    public override Span<T> Host<T>(long offset, int count) => new((byte*)Storage.Address + offset, count);

    public override void Send()
    {
    }

    public override void Release()
    {
    }

    private protected override void Close()
    {
    }
}
