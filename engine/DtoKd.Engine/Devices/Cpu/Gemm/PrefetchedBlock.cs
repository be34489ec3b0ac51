using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Lines of memory that are read next. The kernel asks for one with every step along K: short rows far apart are more than the
/// processor's own prefetcher foresees, and many requests at a time would stop the arithmetic until the first of them are answered.
/// </summary>
internal unsafe struct PrefetchedBlock
{
    /// <summary>Elements of a line of the cache.</summary>
    public const int LineElements = Pool.Alignment / sizeof(float);

    private readonly long _stride;
    private readonly long _length;
    private readonly float* _end;
    private bool _more;

    /// <summary>Names the rows.</summary>
    /// <param name="start">The first element.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="length">Neighbouring elements of a row.</param>
    public PrefetchedBlock(float* start, long stride, int rows, long length)
    {
        if (stride == length)
            (rows, length) = (Math.Min(rows, 1), rows * length);
        // From the beginning of a line on, so that the last one is not left out.
        At = (float*)((nint)start & -Pool.Alignment);
        _length = start + length - At;
        _stride = stride;
        RowEnd = At + _length;
        _end = RowEnd + ((rows - 1) * stride);
        _more = rows > 0;
    }

    /// <summary>What is asked for next.</summary>
    public float* At { get; set; }

    /// <summary>The end of the row that is being asked for.</summary>
    public float* RowEnd { get; private set; }

    /// <summary>Whether everything has been asked for; going on asks for the last row again, which costs nothing.</summary>
    public readonly bool IsDone => !_more;

    /// <summary>Turns to the next row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float* NextRow()
    {
        if (RowEnd < _end)
            RowEnd += _stride;
        else
            _more = false;
        return RowEnd - _length;
    }

    /// <summary>Asks for some lines more, of those that are left.</summary>
    public void Some(int lines)
    {
        for (; lines > 0 && !IsDone && Sse.IsSupported; lines--)
        {
            Sse.Prefetch1(At);
            At += LineElements;
            if (At >= RowEnd)
                At = NextRow();
        }
    }

    /// <summary>Asks for everything at once.</summary>
    public void All()
    {
        while (Sse.IsSupported && !IsDone)
        {
            for (float* line = RowEnd - _length; line < RowEnd; line += LineElements)
                Sse.Prefetch1(line);
            NextRow();
        }
    }
}
