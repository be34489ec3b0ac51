using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Lines of memory that are packed next, asked for a few at a time while the kernel computes: short rows far apart are more than
/// the processor's own prefetcher foresees.
/// </summary>
/// <param name="start">The first element.</param>
/// <param name="stride">Elements from one row to the next.</param>
/// <param name="rows">Rows.</param>
/// <param name="length">Neighbouring elements of a row.</param>
/// <param name="calls">In how many calls of <see cref="Next"/> everything is asked for.</param>
internal unsafe struct PrefetchedBlock(float* start, long stride, int rows, int length, int calls)
{
    private const int LineElements = Pool.Alignment / sizeof(float);

    private readonly int _perCall = (int)((((long)rows * (length + LineElements - 1) / LineElements) + calls - 1) / Math.Max(1, calls));
    private float* _row = start;
    private int _rows = rows;
    private int _at;

    /// <summary>Asks for the next few lines; nothing once all were asked for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Next()
    {
        if (!Sse.IsSupported)
            return;
        for (int i = 0; i < _perCall && _rows > 0; i++)
        {
            Sse.Prefetch1(_row + _at);
            _at += LineElements;
            if (_at >= length)
            {
                _at = 0;
                _row += stride;
                _rows--;
            }
        }
    }
}
