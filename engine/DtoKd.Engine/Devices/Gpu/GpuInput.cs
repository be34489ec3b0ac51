using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Input of a GPU: page-locked memory of the host, and a copy in a stream of its own beside what the device computes. Two marks
/// keep the order: nothing reads the room before it has arrived, and nothing arrives before the last reader is done.
/// </summary>
internal sealed class GpuInput : DeviceInput
{
    private readonly GpuDevice _device;
    private readonly PinnedMemory _host;
    private readonly GpuEvent _arrived, _read;

    public GpuInput(GpuDevice device, long bytes)
        : base(device, checked((int)bytes))
    {
        _device = device;
        _host = new PinnedMemory(device.Accelerator, bytes);
        _arrived = new GpuEvent(device.Accelerator);
        _read = new GpuEvent(device.Accelerator);
        // A block of the pool may still be read by what was asked for under its last owner.
        Release();
    }

    public override void AwaitSent() => _arrived.Wait();

    public override Span<T> Host<T>(long offset, int count) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, T>(_host.Span((int)offset, count * Interop.SizeOf<T>()));

    public override void Send()
    {
        // Two batches may be ready at once, as the first one of an evaluation while training's next is on its way.
        lock (_device.CopyStream)
        {
            _read.Block(_device.CopyStream);
            _device.Upload(_host, 0, Storage, 0, (int)Storage.Bytes, _device.CopyStream);
            _arrived.Record(_device.CopyStream);
        }
    }

    public override Tensor View(Step step, long offset, Shape shape, DType dtype)
    {
        _arrived.Block(_device.Stream);
        return base.View(step, offset, shape, dtype);
    }

    public override void Release() => _read.Record(_device.Stream);

    private protected override void Close()
    {
        _arrived.Wait();
        _host.Dispose();
        _arrived.Dispose();
        _read.Dispose();
    }
}
