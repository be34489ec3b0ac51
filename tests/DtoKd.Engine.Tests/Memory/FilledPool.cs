namespace DtoKd.Engine.Tests.Memory;

/// <summary>A pool whose blocks come full of one byte, so that reading what was not written shows.</summary>
internal sealed unsafe class FilledPool(byte fill) : Pool
{
    internal override Storage Rent(long bytes, string owner)
    {
        var storage = base.Rent(bytes, owner);
        new Span<byte>((void*)storage.Address, checked((int)storage.BlockBytes)).Fill(fill);
        return storage;
    }
}
