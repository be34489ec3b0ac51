namespace DtoKd.Engine;

/// <summary>A block of a <see cref="Pool"/> that goes back when the last tensor, or saved view, lets go of it.</summary>
internal sealed class Storage
{
    private readonly Pool _pool;
    private readonly long _blockBytes;
    private int _references = 1;

    public Storage(Pool pool, long bytes, string owner)
    {
        _pool = pool;
        Bytes = bytes;
        Address = pool.Rent(bytes, owner, out _blockBytes);
    }

    /// <summary>The bytes that were asked for.</summary>
    public long Bytes { get; }

    /// <summary>Where the block starts: in the host's memory, or in that of the pool's device.</summary>
    public nint Address { get; private set; }

    /// <summary>Whether nobody but the caller holds this storage, so that it may be overwritten.</summary>
    public bool IsExclusive => Volatile.Read(ref _references) == 1;

    public void Retain() => Interlocked.Increment(ref _references);

    public void Release()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left > 0)
            return;
        if (left < 0)
            throw new InvalidOperationException("a storage was released more often than it was retained");
        _pool.Return(Address, _blockBytes);
        Address = 0;
    }
}
