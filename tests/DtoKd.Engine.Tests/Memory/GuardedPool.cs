using System.Runtime.InteropServices;

namespace DtoKd.Engine.Tests.Memory;

/// <summary>Which end of a block touches the unreadable page.</summary>
public enum GuardedSide
{
    After,
    Before,
}

/// <summary>
/// A pool whose blocks touch an unreadable page, so that a kernel that reads or writes one element too far ends the process
/// with the kernel's stack trace instead of going unnoticed. A returned block is unmapped at once: late reads fault as well.
/// </summary>
/// <remarks>Fresh blocks hold NaN bits, so that an element that nobody wrote shows in the result.</remarks>
internal sealed unsafe partial class GuardedPool(GuardedSide side) : Pool
{
    private const int Read = 1, Write = 2, PrivateAnonymous = 0x22;

    private static readonly long _page = Environment.SystemPageSize;

    private long _live;

    public static bool IsSupported => OperatingSystem.IsLinux();

    /// <summary>Blocks that were not returned.</summary>
    public long Live => Interlocked.Read(ref _live);

    /// <summary>Whether the system would let this process read a byte. Asks with a path that starts there.</summary>
    public static bool IsReadable(nint address)
    {
        const int BadAddress = 14;
        return Access(address, 0) == 0 || Marshal.GetLastPInvokeError() != BadAddress;
    }

    internal override Storage Rent(long bytes, string owner)
    {
        long inner = (bytes + _page - 1) / _page * _page;
        nint map = Map(0, (nuint)(inner + (2 * _page)), 0, PrivateAnonymous, -1, 0);
        if (map == -1)
            throw new InsufficientMemoryException($"mmap: error {Marshal.GetLastPInvokeError()}");
        nint start = map + (nint)_page;
        if (inner > 0 && Protect(start, (nuint)inner, Read | Write) != 0)
            throw new InsufficientMemoryException($"mprotect: error {Marshal.GetLastPInvokeError()}");
        new Span<byte>((void*)start, checked((int)inner)).Fill(0xff);
        Interlocked.Increment(ref _live);
        return new Storage(this, side == GuardedSide.Before ? start : start + (nint)(inner - bytes), inner).Begin(bytes);
    }

    internal override void Return(Storage block)
    {
        // A block of less than a page lies somewhere in its first page; an empty one at the start of the page behind it.
        nint start = block.BlockBytes == 0 ? block.Address : block.Address / (nint)_page * (nint)_page;
        _ = Unmap(start - (nint)_page, (nuint)(block.BlockBytes + (2 * _page)));
        Interlocked.Decrement(ref _live);
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "access", SetLastError = true)]
    private static partial int Access(nint path, int mode);
}
