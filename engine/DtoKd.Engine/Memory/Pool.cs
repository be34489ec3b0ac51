using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// Hands out 64-byte-aligned blocks and keeps the returned ones for the next request of their size class, so that a training
/// step in its steady state asks the system for nothing.
/// </summary>
/// <remarks>Size classes: four steps to each power of two up to 1 MiB, multiples of 256 KiB above. Safe for any thread.</remarks>
public unsafe class Pool
{
    /// <summary>Every block starts at a multiple of this: a cache line, and the widest vector.</summary>
    public const int Alignment = 64;

    private const long LargeBlock = 1 << 20;
    private const long LargeStep = 1 << 18;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Stack<Storage>> _free = [];
    private readonly long _limit;

    /// <summary>Makes a pool.</summary>
    /// <param name="limitBytes">Refuse to reserve more than this; for tests of what happens when memory runs out.</param>
    public Pool(long limitBytes = long.MaxValue) => _limit = limitBytes;

    /// <summary>Bytes in blocks that are handed out.</summary>
    public long LiveBytes { get; private set; }

    /// <summary>Blocks that are handed out.</summary>
    public long LiveBlocks { get; private set; }

    /// <summary>The largest <see cref="LiveBytes"/> so far.</summary>
    public long PeakBytes { get; private set; }

    /// <summary>Bytes taken from the system: handed out or kept for reuse.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>Starts <see cref="PeakBytes"/> anew from what is live now.</summary>
    public void ResetPeak()
    {
        lock (_lock)
            PeakBytes = LiveBytes;
    }

    /// <summary>Gives every unused block back to the system.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            foreach (var (size, blocks) in _free)
            {
                while (blocks.TryPop(out var block))
                {
                    FreeBlock(block.Address);
                    ReservedBytes -= size;
                }
            }
        }
    }

    /// <summary>Hands out a block of at least so many bytes; its contents are undefined.</summary>
    /// <param name="bytes">The bytes wanted.</param>
    /// <param name="owner">Who wants them, for the message when memory runs out.</param>
    /// <returns>The block, held once; its last holder's release brings it back.</returns>
    /// <exception cref="InsufficientMemoryException">There is no room, even without the blocks that are kept for reuse.</exception>
    internal virtual Storage Rent(long bytes, string owner)
    {
        long size = SizeClass(bytes);
        lock (_lock)
        {
            if (!_free.TryGetValue(size, out var blocks))
                _free[size] = blocks = new Stack<Storage>();
            if (!blocks.TryPop(out var block) && !TryLarger(size, out block))
                block = new Storage(this, Reserve(size), size);
            LiveBytes += block.BlockBytes;
            LiveBlocks++;
            PeakBytes = Math.Max(PeakBytes, LiveBytes);
            return block.Begin(bytes);
        }
    }

    /// <summary>
    /// A large block that is up to a quarter larger than wanted: sizes that vary from step to step, as those of the samples that
    /// stochastic depth keeps do, would otherwise each keep blocks of their own.
    /// </summary>
    private bool TryLarger(long size, [NotNullWhen(true)] out Storage? block)
    {
        long best = long.MaxValue;
        if (size > LargeBlock)
        {
            foreach (var (other, blocks) in _free)
            {
                if (other > size && other <= size + (size / 4) && other < best && blocks.Count > 0)
                    best = other;
            }
        }

        block = best == long.MaxValue ? null : _free[best].Pop();
        return block is not null;
    }

    /// <summary>Takes back a block that nobody holds any more.</summary>
    internal virtual void Return(Storage block)
    {
        lock (_lock)
        {
            _free[block.BlockBytes].Push(block);
            LiveBytes -= block.BlockBytes;
            LiveBlocks--;
        }
    }

    /// <summary>Takes a block from the system; 0 when there is no room.</summary>
    private protected virtual nint AllocateBlock(long size)
    {
        try
        {
            nint block = (nint)NativeMemory.AlignedAlloc((nuint)size, Alignment);
            if (size >= LargeBlock)
                HugePages.Request(block, size);
            return block;
        }
        catch (OutOfMemoryException)
        {
            return 0;
        }
    }

    /// <summary>Gives a block back to the system.</summary>
    private protected virtual void FreeBlock(nint block) => NativeMemory.AlignedFree((void*)block);

    /// <summary>The message when there is no room for a block.</summary>
    private protected virtual string NoRoomFor(long size) =>
        (ReservedBytes + size > _limit
            ? $"the pool's limit of {_limit:N0} bytes leaves no room for {size:N0} more"
            : $"the system has no {size:N0} bytes left")
        + $" ({LiveBytes:N0} are in use): lower the batch size";

    internal static long SizeClass(long bytes)
    {
        if (bytes <= 256)
            return Math.Max(Alignment, RoundUp(bytes, Alignment));
        long power = (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes);
        // Four classes between one power of two and the next: at most a quarter of a block is unused.
        return bytes > LargeBlock ? RoundUp(bytes, LargeStep) : RoundUp(bytes, power / 8);
    }

    private static long RoundUp(long value, long step) => (value + step - 1) / step * step;

    private nint Reserve(long size)
    {
        if (ReservedBytes + size > _limit)
            Trim();
        if (ReservedBytes + size > _limit)
            throw new InsufficientMemoryException(NoRoomFor(size));
        nint block = AllocateBlock(size);
        if (block == 0)
        {
            // What is kept for reuse has other sizes: give it back and ask once more.
            Trim();
            block = AllocateBlock(size);
        }

        if (block == 0)
            throw new InsufficientMemoryException(NoRoomFor(size));
        ReservedBytes += size;
        return block;
    }
}
