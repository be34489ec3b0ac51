using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A mark in a stream that another stream, or the host, waits for. One that was never set holds nobody up, and the emulator, which
/// is done with everything at once, needs none.
/// </summary>
internal sealed class GpuEvent : IDisposable
{
    private readonly CudaAccelerator? _cuda;
    private readonly nint _event;

    public GpuEvent(Accelerator accelerator)
    {
        _cuda = accelerator as CudaAccelerator;
        if (_cuda is null)
            return;
        using var bound = _cuda.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out _event, CudaEventFlags.CU_EVENT_DISABLE_TIMING));
    }

    /// <summary>Sets the mark behind all that a stream was given so far.</summary>
    public void Record(AcceleratorStream stream)
    {
        if (_cuda is null)
            return;
        using var bound = _cuda.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(_event, ((CudaStream)stream).StreamPtr));
    }

    /// <summary>Makes what a stream is given from now on wait for the mark.</summary>
    public void Block(AcceleratorStream stream)
    {
        if (_cuda is null)
            return;
        using var bound = _cuda.BindScoped();
        CudaException.ThrowIfFailed(CudaLibrary.StreamWaitEvent(((CudaStream)stream).StreamPtr, _event, 0));
    }

    /// <summary>Waits for the mark.</summary>
    public void Wait()
    {
        if (_cuda is null)
            return;
        using var bound = _cuda.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.SynchronizeEvent(_event));
    }

    public void Dispose()
    {
        if (_cuda is null)
            return;
        using var bound = _cuda.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.DestroyEvent(_event));
    }
}
