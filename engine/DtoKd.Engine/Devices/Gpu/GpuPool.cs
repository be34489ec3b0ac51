using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The pool over a GPU's memory: a block is one allocation of the driver, at a multiple of 256 bytes. Blocks are reused in the
/// order of the device's one stream, so that a block may be handed out again while kernels that use it are still queued.
/// </summary>
internal sealed unsafe class GpuPool(Accelerator accelerator, long limitBytes) : Pool(limitBytes)
{
    private const int OwnersNamed = 5;

    // Memory that nobody touches is only promised.
    private const long MostSpoilt = 1 << 24;

    private readonly Lock _lock = new();
    private readonly Dictionary<nint, MemoryBuffer> _buffers = [];
    private readonly Dictionary<nint, (string Owner, long Bytes)> _owners = [];

    /// <summary>ILGPU's handle of a block.</summary>
    public MemoryBuffer BufferOf(nint block)
    {
        lock (_lock)
            return _buffers[block];
    }

    internal override Storage Rent(long bytes, string owner)
    {
        var block = base.Rent(bytes, owner);
        lock (_lock)
            _owners[block.Address] = (owner, block.BlockBytes);
        // On the emulator what is read before it was written is no number: a card has there what was left by someone else.
        if (accelerator is CPUAccelerator && bytes <= MostSpoilt)
            new Span<byte>((void*)block.Address, (int)bytes).Fill(byte.MaxValue);
        return block;
    }

    internal override void Return(Storage block)
    {
        lock (_lock)
            _owners.Remove(block.Address);
        base.Return(block);
    }

    private protected override nint AllocateBlock(long size)
    {
        MemoryBuffer buffer;
        try
        {
            buffer = accelerator.AllocateRaw(size, 1);
        }
        catch (OutOfMemoryException)
        {
            return 0;
        }
        catch (CudaException exception) when (IsOutOfMemory(exception))
        {
            return 0;
        }

        lock (_lock)
            _buffers.Add(buffer.NativePtr, buffer);
        return buffer.NativePtr;
    }

    // Told by the text alone: the driver's description, or the name of its error.
    private static bool IsOutOfMemory(CudaException exception) =>
        $"{exception.Error} {exception.Message}".Replace('_', ' ').Contains("out of memory", StringComparison.OrdinalIgnoreCase);

    private protected override void FreeBlock(nint block)
    {
        lock (_lock)
        {
            _buffers.Remove(block, out var buffer);
            buffer!.Dispose();
        }
    }

    private protected override string NoRoomFor(long size)
    {
        (string Owner, long Bytes)[] owners;
        lock (_lock)
        {
            owners = [.. _owners.Values.GroupBy(one => one.Owner)
                .Select(group => (Owner: group.Key, Bytes: group.Sum(one => one.Bytes)))
                .OrderByDescending(one => one.Bytes).ThenBy(one => one.Owner, StringComparer.Ordinal).Take(OwnersNamed)];
        }

        string largest = string.Join(", ", owners.Select(one => $"{one.Owner} {one.Bytes:N0}"));
        return $"{accelerator.Name} has no room for {size:N0} bytes more: {LiveBytes:N0} of {accelerator.MemorySize:N0} are in use"
            + (largest.Length > 0 ? $", most by {largest}" : "") + "; lower the batch size";
    }
}
