namespace DtoKd.Engine;

/// <summary>
/// Where the rows of the heads lie that are computed at once, one in each lane: neighbouring heads of a window, then those of
/// the next. Lanes beyond the last head repeat it and are not written.
/// </summary>
internal unsafe struct WindowGroup
{
    private readonly WindowAttentionCpu _op;
    private readonly int _width;
    private readonly float** _parts;

    /// <summary>A group of a vector's width that uses <see cref="WordsOf"/> of memory.</summary>
    public WindowGroup(WindowAttentionCpu op, int width, long* memory)
    {
        (_op, _width) = (op, width);
        Length = op.Layout.Tokens * width;
        Queries = (float**)memory;
        Results = Queries + Length;
        _parts = Results + Length;
    }

    /// <summary>The row of queries of each token in each lane; those of keys and values follow it in the map.</summary>
    public float** Queries { get; }

    /// <summary>The row of results, or of their gradients, of each token in each lane.</summary>
    public float** Results { get; }

    /// <summary>Tokens times lanes.</summary>
    public int Length { get; }

    /// <summary>How many lanes have a head of their own.</summary>
    public int Lanes { get; private set; }

    /// <summary>The head of the first lane.</summary>
    public int FirstHead { get; private set; }

    /// <summary>Whether a window has parts that were apart before the map was rolled.</summary>
    public bool IsCut { get; private set; }

    /// <summary>How much memory a group needs.</summary>
    public static long WordsOf(WindowAttentionCpu op, int width) => ((2 * op.Layout.Tokens) + 1) * (long)width;

    /// <summary>Turns to a group.</summary>
    public void Set(long group, float* results)
    {
        var layout = _op.Layout;
        long first = group * _width, stride = _op.Size;
        Lanes = (int)Math.Min(_width, (_op.Windows * _op.Heads) - first);
        FirstHead = (int)(first % _op.Heads);
        IsCut = false;
        for (int lane = 0; lane < _width; lane++)
        {
            long item = first + Math.Min(lane, Lanes - 1), window = item / _op.Heads, image = window / layout.Windows;
            int inImage = (int)(window % layout.Windows);
            _parts[lane] = layout.PartsOf(inImage);
            IsCut |= layout.IsCut(inImage);
            int* places = layout.PlacesOf(inImage);
            long place = image * layout.Windows * layout.Tokens, column = item % _op.Heads * _op.Depth;
            float* queries = _op.Qkv + (place * 3 * stride) + column, result = results + (place * stride) + column;
            for (int token = 0, at = lane; token < layout.Tokens; token++, at += _width)
            {
                long offset = places[token] * stride;
                Queries[at] = queries + (3 * offset);
                Results[at] = result + offset;
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
}
