using System.Runtime.CompilerServices;
using ILGPU.IR.Intrinsics;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Copies from global into shared memory past the registers, a batch after the other. The emulator makes them when they are
/// waited for, as late as a card may: who reads without waiting finds what was there before.
/// </summary>
internal static unsafe partial class Ptx
{
    // The copies that a thread of the emulator has begun, and the batches that it has closed.
    [ThreadStatic]
    private static Queue<(nint Target, nint Source, int Size, int Read, int Batch)>? _copies;

    [ThreadStatic]
    private static int _batches;

    /// <summary>Begins to copy a number; 0 where <paramref name="read"/> is 0.</summary>
    [Ptx("cp.async.ca.shared.global"), IntrinsicImplementation]
    public static void CopyAsync([Shared] ref float target, [Offset] int bytes, ref float source, [Constant] int size, int read)
    {
        if (size != sizeof(float))
            throw new ArgumentOutOfRangeException(nameof(size));
        Begin(ref target, bytes, ref source, size, read);
    }

    /// <summary>Begins to copy up to four neighbours at multiples of 16 bytes; zeros after the bytes that are read.</summary>
    [Ptx("cp.async.cg.shared.global"), IntrinsicImplementation]
    public static void CopyAsync4([Shared] ref float target, [Offset] int bytes, ref float source, [Constant] int size, int read) =>
        Begin(ref target, bytes, ref source, size, read);

    /// <summary>Closes a batch of the thread's copies.</summary>
    [Ptx("cp.async.commit_group"), IntrinsicImplementation]
    public static void CommitCopies() => _batches++;

    /// <summary>
    /// Waits until all but the last few batches of the thread's copies are done. Copies of nothing write zeros too: memory that is
    /// used for something else, and a kernel's end, want all of them done.
    /// </summary>
    [Ptx("cp.async.wait_group"), IntrinsicImplementation]
    public static void AwaitCopies([Constant] int but)
    {
        while (_copies is not null && _copies.TryPeek(out var copy) && copy.Batch < _batches - but)
        {
            _copies.Dequeue();
            var target = new Span<byte>((void*)copy.Target, copy.Size);
            target.Clear();
            new Span<byte>((void*)copy.Source, copy.Read).CopyTo(target);
        }
    }

    private static void Begin(ref float target, int bytes, ref float source, int size, int read)
    {
        nint to = (nint)Unsafe.AsPointer(ref Vector(ref target, bytes, size)), from = (nint)Unsafe.AsPointer(ref Vector(ref source, 0, size));
        (_copies ??= []).Enqueue((to, from, size, read, _batches));
    }
}
