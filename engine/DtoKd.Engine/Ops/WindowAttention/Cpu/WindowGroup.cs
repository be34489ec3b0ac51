using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine;

/// <summary>
/// Where the rows of the heads lie that are computed at once, one in each lane: neighbouring heads of a window, then those of
/// the next. Lanes beyond the last head repeat it and are not written.
/// </summary>
internal unsafe struct WindowGroup
{
    private readonly WindowAttentionCpu _op;
    private readonly int _width;

    // Of each lane: its window's places in the map and the parts they are in, the first place of its image, its head's first column.
    private readonly int** _places;
    private readonly float** _parts;
    private readonly long* _images;
    private readonly long* _columns;
    private readonly float** _rows;

    /// <summary>A group of a vector's width that uses <see cref="WordsOf"/> of memory.</summary>
    public WindowGroup(WindowAttentionCpu op, int width, long* memory)
    {
        (_op, _width) = (op, width);
        _places = (int**)memory;
        _parts = (float**)(memory + width);
        _images = memory + (2 * width);
        _columns = memory + (3 * width);
        _rows = (float**)(memory + (4 * width));
    }

    /// <summary>How many lanes have a head of their own.</summary>
    public int Lanes { get; private set; }

    /// <summary>The head of the first lane.</summary>
    public int FirstHead { get; private set; }

    /// <summary>Whether a window has parts that were apart before the map was rolled.</summary>
    public bool IsCut { get; private set; }

    /// <summary>How much memory a group needs.</summary>
    public static int WordsOf(int width) => 5 * width;

    /// <summary>Turns to a group; the last one when there are not so many.</summary>
    public void Set(long group)
    {
        group = Math.Min(group, _op.Groups - 1);
        long first = group * _width, heads = _op.Windows * _op.Heads;
        var layout = _op.Layout;
        Lanes = (int)Math.Min(_width, heads - first);
        FirstHead = (int)(first % _op.Heads);
        IsCut = false;
        for (int lane = 0; lane < _width; lane++)
        {
            long item = first + Math.Min(lane, Lanes - 1), window = item / _op.Heads;
            int inImage = (int)(window % layout.Windows);
            _places[lane] = layout.PlacesOf(inImage);
            _images[lane] = window / layout.Windows * layout.Windows * layout.Tokens;
            _columns[lane] = item % _op.Heads * _op.Depth;
            _parts[lane] = layout.PartsOf(inImage);
            IsCut |= layout.IsCut(inImage);
        }
    }

    /// <summary>The row of a token in each lane's head of a map with <paramref name="stride"/> numbers at a place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float** Rows(float* map, long stride, int token)
    {
        for (int lane = 0; lane < _width; lane++)
            _rows[lane] = At(map, stride, token, lane);
        return _rows;
    }

    /// <summary>Asks for the rows of a token that <see cref="Rows"/> would give, and for those <paramref name="offset"/> further on.</summary>
    public readonly void Prefetch(float* map, long stride, int token, long offset, int count)
    {
        const int LineElements = Pool.Alignment / sizeof(float);
        if (!Sse.IsSupported)
            return;
        for (int lane = 0; lane < Lanes; lane++)
        {
            float* row = At(map, stride, token, lane);
            for (int i = 0; i < count; i++, row += offset)
            {
                for (int j = 0; j < _op.Depth; j += LineElements)
                    Sse.Prefetch1(row + j);
            }
        }
    }

    /// <summary>Writes for each token a vector of the parts that the lanes' tokens are in.</summary>
    public readonly void WriteParts(float* parts)
    {
        for (int lane = 0; lane < _width; lane++)
        {
            float* from = _parts[lane];
            for (int token = 0; token < _op.Layout.Tokens; token++)
                parts[(token * _width) + lane] = from[token];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float* At(float* map, long stride, int token, int lane) =>
        map + ((_images[lane] + _places[lane][token]) * stride) + _columns[lane];
}
