using System.Runtime.InteropServices;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>Memory of the host that a CUDA device copies from and to by itself; with the emulator, any memory.</summary>
internal sealed unsafe class PinnedMemory : IDisposable
{
    private readonly Accelerator _accelerator;
    private nint _address;

    public PinnedMemory(Accelerator accelerator, long bytes)
    {
        (_accelerator, Bytes) = (accelerator, bytes);
        if (accelerator is not CudaAccelerator)
        {
            _address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, Pool.Alignment);
            return;
        }

        using var bound = accelerator.BindScoped();
        if (CudaAPI.CurrentAPI.AllocateHostMemory(out _address, (nint)bytes) != CudaError.CUDA_SUCCESS)
            throw new InsufficientMemoryException($"the host has no {bytes:N0} bytes of page-locked memory for {accelerator.Name}: lower the batch size");
    }

    public long Bytes { get; }

    public Span<byte> Span(long offset, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + count, Bytes);
        return new Span<byte>((byte*)_address + offset, count);
    }

    public void Dispose()
    {
        if (_accelerator is not CudaAccelerator)
        {
            NativeMemory.AlignedFree((void*)_address);
        }
        else
        {
            using var bound = _accelerator.BindScoped();
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.FreeHostMemory(_address));
        }

        _address = 0;
    }
}
