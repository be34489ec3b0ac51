namespace DtoKd.Engine;

/// <summary>A block of a <see cref="Pool"/> that goes back when the last tensor, or saved view, lets go of it.</summary>
internal sealed class Storage
{
    private readonly Pool _pool;
    private int _references;

    /// <param name="pool">Where the block goes back to.</param>
    /// <param name="address">Where the block starts.</param>
    /// <param name="blockBytes">Its size.</param>
    public Storage(Pool pool, nint address, long blockBytes) => (_pool, Address, BlockBytes) = (pool, address, blockBytes);

    /// <summary>The bytes that were asked for.</summary>
    public long Bytes { get; private set; }

    /// <summary>The bytes of the block, at least as many.</summary>
    public long BlockBytes { get; }

    /// <summary>Where the block starts: in the host's memory, or in that of the pool's device.</summary>
    public nint Address { get; }

    /// <summary>Whether nobody but the caller holds this storage, so that it may be overwritten.</summary>
    public bool IsExclusive => Volatile.Read(ref _references) == 1;

    /// <summary>Begins the block's use, by its first holder.</summary>
    /// <param name="bytes">How much of it is wanted.</param>
    /// <returns>The storage itself.</returns>
    public Storage Begin(long bytes)
    {
        Bytes = bytes;
        _references = 1;
        return this;
    }

    public void Retain() => Interlocked.Increment(ref _references);

    public void Release()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left > 0)
            return;
        if (left < 0)
            throw new InvalidOperationException("a storage was released more often than it was retained");
        _pool.Return(this);
    }
}
