namespace DtoKd.Engine.Cpu;

/// <summary>
/// Rows that will be needed, to be asked for a few at a time between other work: the processor has room for some 20 lines on their
/// way, and waits when more are asked for.
/// </summary>
/// <param name="memory">Two words for each list.</param>
/// <param name="length">Rows in a list.</param>
internal unsafe struct LaneFetch(long* memory, int length)
{
    private readonly long* _lists = memory;
    private readonly int _length = length;
    private int _count;
    private int _list;
    private int _at;

    /// <summary>Forgets all lists.</summary>
    public void Clear() => (_count, _list, _at) = (0, 0, 0);

    /// <summary>Appends the lines of rows that begin <paramref name="offset"/> elements from those listed.</summary>
    /// <param name="rows">A row for each token and lane.</param>
    /// <param name="offset">Elements from those addresses.</param>
    /// <param name="columns">Elements of a row.</param>
    public void Add(float** rows, long offset, int columns)
    {
        const int LineElements = Pool.Alignment / sizeof(float);
        for (int i = 0; i < columns; i += LineElements)
        {
            _lists[2 * _count] = (long)rows;
            _lists[(2 * _count) + 1] = offset + i;
            _count++;
        }
    }

    /// <summary>The next addresses, and what is to be added to them; null when there are none. Some may come twice.</summary>
    public float** Take(int count, out long offset)
    {
        offset = 0;
        if (_list == _count || count > _length)
            return null;
        int at = Math.Min(_at, _length - count);
        float** rows = (float**)_lists[2 * _list] + at;
        offset = _lists[(2 * _list) + 1];
        _at = at + count;
        if (_at == _length)
            (_list, _at) = (_list + 1, 0);
        return rows;
    }
}
