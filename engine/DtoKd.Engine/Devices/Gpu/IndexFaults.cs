using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Indices that a kernel found out of range. The host does not wait for a kernel to see whether its indices were good: the kernel
/// leaves them out and notes the first one in two words of the device, and the device throws what the operation would have
/// thrown on the CPU, as soon as the host reads anything or waits.
/// </summary>
internal sealed class IndexFaults(Accelerator accelerator) : IDisposable
{
    /// <summary>The size of what is noted.</summary>
    public const int Bytes = 2 * sizeof(long);

    private readonly List<Site> _sites = [];
    private readonly Dictionary<Site, int> _numbers = [];
    private MemoryBuffer1D<long, Stride1D.Dense>? _words;
    private bool _isWatching;

    /// <summary>What is said of an index that is not in 0 .. size - 1.</summary>
    /// <param name="op">The operation.</param>
    /// <param name="size">How many values are good.</param>
    /// <param name="index">The index.</param>
    /// <param name="position">Where it is among the indices.</param>
    public delegate ArgumentException Describe(string op, int size, long index, long position);

    /// <summary>What a kernel takes to check indices of 0 .. size - 1.</summary>
    /// <param name="op">The operation.</param>
    /// <param name="size">How many values are good.</param>
    /// <param name="describe">A static method: each combination of the three is remembered.</param>
    public IndexGuard Guard(string op, int size, Describe describe)
    {
        if (_words is null)
        {
            _words = accelerator.Allocate1D<long>(2);
            _words.View.MemSetToZero(accelerator.DefaultStream);
        }

        var site = new Site(op, size, describe);
        if (!_numbers.TryGetValue(site, out int number))
        {
            _sites.Add(site);
            _numbers[site] = number = _sites.Count;
        }

        _isWatching = true;
        return new IndexGuard { Words = _words.View.AsContiguous(), Site = number, Size = size };
    }

    /// <summary>Waits for the device.</summary>
    /// <exception cref="ArgumentException">A kernel since the last call met an index out of range. The device can go on.</exception>
    public void Synchronize()
    {
        var stream = accelerator.DefaultStream;
        Span<long> words = stackalloc long[2];
        bool reads = _isWatching;
        if (reads)
            _words!.View.AsContiguous().CopyToCPU(stream, words);
        stream.Synchronize();
        _isWatching = false;
        if (reads)
            Check(words);
    }

    /// <summary>Begins to copy what kernels have noted so far to the host; false where none checks indices.</summary>
    public bool Send(PinnedMemory target, long offset)
    {
        if (_isWatching)
            _words!.View.AsContiguous().CopyToCPUUnsafeAsync(accelerator.DefaultStream, ref MemoryMarshal.Cast<byte, long>(target.Span(offset, Bytes))[0], 2);
        return _isWatching;
    }

    /// <summary>Throws what the operation would have thrown on the CPU, if an index was noted.</summary>
    public void Check(ReadOnlySpan<long> words)
    {
        if (words[0] == 0)
            return;
        _words!.View.MemSetToZero(accelerator.DefaultStream);
        var (op, size, describe) = _sites[(int)words[0] - 1];
        throw describe(op, size, IndexGuard.IndexOf(words[1]), IndexGuard.PositionOf(words[1]));
    }

    public void Dispose() => _words?.Dispose();

    private readonly record struct Site(string Op, int Size, Describe Describe);
}

/// <summary>The check of indices in a kernel.</summary>
internal struct IndexGuard
{
    /// <summary>
    /// The number of the first kernel's <see cref="Site"/>, 0 for none yet; and of its first bad index the position and the value,
    /// which is cut to 32 bits.
    /// </summary>
    public ArrayView<long> Words;

    public int Site, Size;

    /// <summary>The index in a word; one beyond 32 bits is the nearest that fits.</summary>
    public static long IndexOf(long word) => (int)word;

    /// <summary>The position in a word.</summary>
    public static long PositionOf(long word) => int.MaxValue - (word >> 32);

    /// <summary>Whether an index is in 0 .. Size - 1; if not, it is noted, and the kernel must leave it out.</summary>
    public readonly bool Admits(long index, int position)
    {
        if ((ulong)index < (ulong)Size)
            return true;
        // Only threads of one kernel run at a time, and the largest word has the lowest position, whoever comes first.
        long before = Atomic.CompareExchange(ref Words[0], 0, Site);
        if (before == 0 || before == Site)
        {
            long value = IntrinsicMath.Max(IntrinsicMath.Min(index, int.MaxValue), int.MinValue);
            Atomic.Max(ref Words[1], ((long)(int.MaxValue - position) << 32) | (value & 0xFFFF_FFFFL));
        }

        return false;
    }
}
