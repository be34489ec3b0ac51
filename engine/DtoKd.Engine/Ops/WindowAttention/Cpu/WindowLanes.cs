using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Attention of as many heads of windows at once as a vector has lanes, in one thread's scratch. Their rows are turned so that a
/// vector holds one number of each; products and softmax then go element by element, whatever a window's size.
/// </summary>
/// <remarks>
/// Rows of the next group are fetched meanwhile: they are short, far apart, and unforeseen by the processor. Sixteen heads of 16
/// numbers on windows of 49 tokens take 350 KiB backward, which the L2 cache holds.
/// </remarks>
internal unsafe struct WindowLanes<V>
    where V : unmanaged, IFloatLane<V>
{
    private readonly WindowAttentionCpu _op;
    private readonly int _tokens;
    private readonly int _depth;

    // Vectors [tokens, depth].
    private readonly float* _queries;
    private readonly float* _keys;
    private readonly float* _values;
    private readonly float* _slopesOfResults;

    // Vectors [tokens, tokens], or of one tile's rows forward.
    private readonly float* _scores;

    // Vectors of one tile: [rows, tokens] and [rows, depth].
    private readonly float* _slopes;
    private readonly float* _rows;

    private readonly float* _parts;
    private readonly float* _bias;
    private readonly float* _sums;
    private WindowGroup _now;
    private WindowGroup _next;

    /// <summary>Lays out the calling thread's scratch and turns to a group. Another of this thread must not be in use.</summary>
    public WindowLanes(WindowAttentionCpu op, bool backward, long group)
    {
        _op = op;
        (_tokens, _depth) = (op.Layout.Tokens, op.Depth);
        long map = (long)_tokens * _depth * V.Width, row = (long)_tokens * V.Width, table = (long)op.Layout.TableRows * V.Width;
        long tile = LaneProduct.MaxRows<V>() * row, scores = backward ? _tokens * row : tile;
        int words = WindowGroup.WordsOf(V.Width);
        float* at = WindowAttentionCpu.Scratch((4 * map) + scores + tile + map + row + (2 * table) + (4 * words));
        _queries = at;
        _keys = at += map;
        _values = at += map;
        _slopesOfResults = at += map;
        _scores = at += map;
        _slopes = at += scores;
        _rows = at += tile;
        _parts = at += map;
        _bias = at += row;
        _sums = at += table;
        long* memory = (long*)(at + table);
        _now = new WindowGroup(op, V.Width, memory);
        _next = new WindowGroup(op, V.Width, memory + words);
        _next.Set(group);
    }

    /// <summary>Writes a group's results and, for each token, the largest score and one divided by the sum of exponentials.</summary>
    /// <param name="group">The group, the one after the last that was computed.</param>
    /// <param name="table">As <see cref="WindowAttentionCpu.SpreadTable"/> wrote it.</param>
    /// <param name="y">The map of results.</param>
    /// <param name="saved">Two vectors for each token.</param>
    public void Forward(long group, float* table, float* y, float* saved)
    {
        Load(group, table, null);
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_queries, first), Map(_keys).Transposed, Square(_scores));
            for (int i = 0; i < rows; i++)
            {
                PrefetchNext(first + i, null);
                Exponentials(first + i, _scores + ((long)i * _tokens * V.Width), saved + (2 * (first + i) * V.Width));
            }

            LaneProduct.Run<V>(rows, _depth, _tokens, Square(_scores), Map(_values), Map(_rows));
            // The sums divide the short rows of the result instead of the long ones of the exponentials.
            for (int i = 0; i < rows; i++)
            {
                float* row = _rows + ((long)i * _depth * V.Width);
                var factor = V.Load(saved + (((2 * (first + i)) + 1) * V.Width));
                for (int j = 0; j < _depth; j++)
                    V.Store(V.Load(row + (j * V.Width)) * factor, row + (j * V.Width));
                LaneTurn.Out<V>(row, _depth, 1, _now.Rows(y, _op.Size, first + i), _now.Lanes, accumulate: false);
            }
        }
    }

    /// <summary>All the gradients of a group.</summary>
    /// <param name="group">The group, the one after the last that was computed.</param>
    /// <param name="table">As <see cref="WindowAttentionCpu.SpreadTable"/> wrote it.</param>
    /// <param name="saved">As <see cref="Forward"/> wrote it.</param>
    /// <param name="dy">The gradients of the results.</param>
    /// <param name="dQkv">Where the gradients of queries, keys and values go, or null.</param>
    /// <param name="accumulate">Whether they are added there.</param>
    /// <param name="sums">To what the gradients of the table are added, which is laid out as the table, or null.</param>
    public void Backward(long group, float* table, float* saved, float* dy, float* dQkv, bool accumulate, float* sums)
    {
        Load(group, table, dy);
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var scores = Square(_scores, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_queries, first), Map(_keys).Transposed, scores);
            for (int i = 0; i < rows; i++)
            {
                PrefetchNext(first + i, dy);
                Probabilities(first + i, scores.Data + (i * scores.RowStride), saved + (2 * (first + i) * V.Width));
            }
        }

        if (dQkv != null)
            Sums(_slopesOfResults, dQkv + (2 * _op.Size), accumulate);
        if (sums != null)
            new Span<float>(_sums, _op.Layout.TableRows * V.Width).Clear();
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var scores = Square(_scores, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_slopesOfResults, first), Map(_values).Transposed, Square(_slopes));
            for (int i = 0; i < rows; i++)
                SlopesOfScores(first + i, scores.Data + (i * scores.RowStride), _slopes + ((long)i * _tokens * V.Width), sums != null);
            if (dQkv == null)
                continue;
            LaneProduct.Run<V>(rows, _depth, _tokens, scores, Map(_keys), Map(_rows));
            Write(first, rows, dQkv, _op.Scale, accumulate);
        }

        // The loaded queries hold the factor of the scores.
        if (dQkv != null)
            Sums(_queries, dQkv + _op.Size, accumulate);
        if (sums == null)
            return;
        float* to = sums + _now.FirstHead;
        for (int row = 0; row < _op.Layout.TableRows; row++, to += _op.TableStride)
            LaneRow.Store(V.Load(_sums + (row * V.Width)) + LaneRow.Load<V>(to, _now.Lanes), to, _now.Lanes);
    }

    private readonly MatrixView Map(float* map, int first = 0) => new(map + ((long)first * _depth * V.Width), (long)_depth * V.Width, V.Width);

    private readonly MatrixView Square(float* square, int first = 0) =>
        new(square + ((long)first * _tokens * V.Width), (long)_tokens * V.Width, V.Width);

    private void Load(long group, float* table, float* dy)
    {
        (_now, _next) = (_next, _now);
        _next.Set(group + 1);
        if (_now.IsCut)
            _now.WriteParts(_parts);
        float* bias = table + _now.FirstHead;
        for (int row = 0; row < _op.Layout.TableRows; row++, bias += _op.TableStride)
            V.Store(V.Load(bias), _bias + (row * V.Width));
        for (int token = 0; token < _tokens; token++)
        {
            int at = token * _depth * V.Width;
            float** rows = _now.Rows(_op.Qkv, 3 * _op.Size, token);
            LaneTurn.In<V>(rows, 0, _depth, _op.Scale, _queries + at);
            LaneTurn.In<V>(rows, _op.Size, _depth, 1, _keys + at);
            LaneTurn.In<V>(rows, 2 * _op.Size, _depth, 1, _values + at);
            if (dy != null)
                LaneTurn.In<V>(_now.Rows(dy, _op.Size, token), 0, _depth, 1, _slopesOfResults + at);
        }
    }

    private readonly void PrefetchNext(int token, float* dy)
    {
        _next.Prefetch(_op.Qkv, 3 * _op.Size, token, _op.Size, 3);
        if (dy != null)
            _next.Prefetch(dy, _op.Size, token, 0, 1);
    }

    /// <summary>The gradients of keys or values: for each the sum of rows of <paramref name="map"/> times its column of scores.</summary>
    private readonly void Sums(float* map, float* target, bool accumulate)
    {
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var columns = Square(_scores).Transposed.Offset(first * V.Width);
            LaneProduct.Run<V>(rows, _depth, _tokens, columns, Map(map), Map(_rows));
            Write(first, rows, target, 1, accumulate);
        }
    }

    private readonly void Write(int first, int rows, float* target, float factor, bool accumulate)
    {
        for (int i = 0; i < rows; i++)
        {
            float* row = _rows + ((long)i * _depth * V.Width);
            LaneTurn.Out<V>(row, _depth, factor, _now.Rows(target, 3 * _op.Size, first + i), _now.Lanes, accumulate);
        }
    }

    /// <summary>Adds bias and mask to a query's scores; returns the largest ones.</summary>
    private readonly V AddTerms(int query, float* scores)
    {
        int* steps = _op.Layout.TableSteps;
        float* bias = _bias + ((_op.Layout.TableCentre + steps[query]) * V.Width);
        V max = V.Of(double.NegativeInfinity), part = V.Load(_parts + (query * V.Width));
        bool isCut = _now.IsCut;
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            var score = V.Load(at) + V.Load(bias - (steps[key] * V.Width));
            if (isCut)
                score += V.Select(V.Equal(V.Load(_parts + (key * V.Width)), part), V.Of(0), V.Of(WindowLayout.AcrossSeam));
            V.Store(score, at);
            // A NaN may get lost here; it comes back with the sum of the exponentials.
            max = V.Select(V.Less(score, max), max, score);
        }

        return max;
    }

    /// <summary>Scores become exponentials.</summary>
    private readonly void Exponentials(int query, float* scores, float* saved)
    {
        V max = AddTerms(query, scores), sum = V.Of(0);
        max = V.Select(V.Equal(max, V.Of(double.NegativeInfinity)), V.Of(0), max);
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            var e = LaneMath.ExpOfNegative(V.Load(at) - max);
            V.Store(e, at);
            sum += e;
        }

        V.Store(max, saved);
        V.Store(V.Select(V.Equal(sum, V.Of(0)), V.Of(0), V.Of(1) / sum), saved + V.Width);
    }

    /// <summary>Scores become probabilities.</summary>
    private readonly void Probabilities(int query, float* scores, float* saved)
    {
        AddTerms(query, scores);
        V max = V.Load(saved), factor = V.Load(saved + V.Width);
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            V.Store(LaneMath.ExpOfNegative(V.Load(at) - max) * factor, at);
        }
    }

    /// <summary>
    /// A query's probabilities p become the gradients of its scores, p (dp - the sum of p dp), and are added to those of the table
    /// if that is wanted.
    /// </summary>
    private readonly void SlopesOfScores(int query, float* p, float* dp, bool ofTable)
    {
        int* steps = _op.Layout.TableSteps;
        float* sums = _sums + ((_op.Layout.TableCentre + steps[query]) * V.Width);
        V mean = V.Of(0);
        for (int key = 0; key < _tokens; key++)
            mean = V.MultiplyAdd(V.Load(p + (key * V.Width)), V.Load(dp + (key * V.Width)), mean);
        for (int key = 0; key < _tokens; key++)
        {
            float* at = p + (key * V.Width);
            var slope = V.Load(at) * (V.Load(dp + (key * V.Width)) - mean);
            V.Store(slope, at);
            if (!ofTable)
                continue;
            float* to = sums - (steps[key] * V.Width);
            V.Store(V.Load(to) + slope, to);
        }
    }
}
