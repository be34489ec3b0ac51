using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// What kernels found wrong with their input: an index out of range, a singular matrix. The host does not wait for a kernel to see
/// whether all was well: the kernel leaves out what is wrong and notes the first of it in two words of the device, and the device
/// throws what the operation would have thrown on the CPU, as soon as the host reads anything or waits.
/// </summary>
internal sealed class KernelFaults(Accelerator accelerator) : IDisposable
{
    /// <summary>The size of what is noted.</summary>
    public const int Bytes = 2 * sizeof(long);

    private readonly List<Describe> _sites = [];
    private readonly Dictionary<object, int> _numbers = [];
    private MemoryBuffer1D<long, Stride1D.Dense>? _words;
    private bool _isWatching;

    /// <summary>The error of what was noted.</summary>
    /// <param name="value">The index, or another number of 32 bits.</param>
    /// <param name="position">Where it is among the inputs.</param>
    public delegate ArgumentException Describe(long value, long position);

    /// <summary>What is said of an index that is not in 0 .. size - 1.</summary>
    /// <param name="op">The operation.</param>
    /// <param name="size">How many values are good.</param>
    /// <param name="index">The index.</param>
    /// <param name="position">Where it is among the indices.</param>
    public delegate ArgumentException DescribeIndex(string op, int size, long index, long position);

    /// <summary>What a kernel takes to check indices of 0 .. size - 1.</summary>
    /// <param name="op">The operation.</param>
    /// <param name="size">How many values are good.</param>
    /// <param name="describe">A static method: each combination of the three is remembered.</param>
    public IndexGuard Guard(string op, int size, DescribeIndex describe)
    {
        var guard = Guard((op, size, describe), (index, position) => describe(op, size, index, position));
        guard.Size = size;
        return guard;
    }

    /// <summary>What a kernel takes to note faults of any kind.</summary>
    /// <param name="key">What the text depends on besides value and position: equal keys share their text for good.</param>
    /// <param name="describe">Makes the text.</param>
    public IndexGuard Guard(object key, Describe describe)
    {
        if (_words is null)
        {
            _words = accelerator.Allocate1D<long>(2);
            _words.View.MemSetToZero(accelerator.DefaultStream);
        }

        if (!_numbers.TryGetValue(key, out int number))
        {
            _sites.Add(describe);
            _numbers[key] = number = _sites.Count;
        }

        _isWatching = true;
        return new IndexGuard { Words = _words.View.AsContiguous(), Site = number };
    }

    /// <summary>Waits for the device.</summary>
    /// <exception cref="ArgumentException">A kernel since the last call noted a fault. The device can go on.</exception>
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

    /// <summary>Begins to copy what kernels have noted so far to the host; false where none notes anything.</summary>
    public bool Send(PinnedMemory target, long offset)
    {
        if (_isWatching)
            _words!.View.AsContiguous().CopyToCPUUnsafeAsync(accelerator.DefaultStream, ref MemoryMarshal.Cast<byte, long>(target.Span(offset, Bytes))[0], 2);
        return _isWatching;
    }

    /// <summary>Throws what the operation would have thrown on the CPU, if a fault was noted.</summary>
    public void Check(ReadOnlySpan<long> words)
    {
        if (words[0] == 0)
            return;
        _words!.View.MemSetToZero(accelerator.DefaultStream);
        throw _sites[(int)words[0] - 1](IndexGuard.ValueOf(words[1]), IndexGuard.PositionOf(words[1]));
    }

    public void Dispose() => _words?.Dispose();
}

/// <summary>The check of indices in a kernel, and where it notes faults.</summary>
internal struct IndexGuard
{
    /// <summary>
    /// The number of the first kernel's <see cref="Site"/>, 0 for none yet; and of its first fault the position and the value,
    /// which is cut to 32 bits.
    /// </summary>
    public ArrayView<long> Words;

    public int Site, Size;

    /// <summary>The value in a word; an index beyond 32 bits is the nearest that fits.</summary>
    public static long ValueOf(long word) => (int)word;

    /// <summary>The position in a word.</summary>
    public static long PositionOf(long word) => int.MaxValue - (word >> 32);

    /// <summary>Whether an index is in 0 .. Size - 1; if not, it is noted, and the kernel must leave it out.</summary>
    public readonly bool Admits(long index, int position)
    {
        if ((ulong)index < (ulong)Size)
            return true;
        Note((int)IntrinsicMath.Max(IntrinsicMath.Min(index, int.MaxValue), int.MinValue), position);
        return false;
    }

    /// <summary>Notes a fault unless an earlier kernel, or a lower position of this one, has.</summary>
    public readonly void Note(int value, int position)
    {
        // Only threads of one kernel run at a time, and the largest word has the lowest position, whoever comes first.
        long before = Atomic.CompareExchange(ref Words[0], 0, Site);
        if (before == 0 || before == Site)
            Atomic.Max(ref Words[1], ((long)(int.MaxValue - position) << 32) | (value & 0xFFFF_FFFFL));
    }
}
