using System.Runtime.CompilerServices;
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
    private readonly long _end;

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
    private LaneFetch _fetch;

    /// <summary>Lays out the calling thread's scratch. Another of this thread must not be in use.</summary>
    /// <param name="op">The sizes and the map of queries, keys and values.</param>
    /// <param name="backward">For gradients.</param>
    /// <param name="first">The first group that will be computed.</param>
    /// <param name="end">The one behind the last.</param>
    /// <param name="results">The map of results or of their gradients.</param>
    public WindowLanes(WindowAttentionCpu op, bool backward, long first, long end, float* results)
    {
        (_op, _end) = (op, end);
        (_tokens, _depth) = (op.Layout.Tokens, op.Depth);
        long map = (long)_tokens * _depth * V.Width, row = (long)_tokens * V.Width, table = (long)op.Layout.TableRows * V.Width;
        long tile = LaneProduct.MaxRows<V>() * row, scores = backward ? _tokens * row : tile;
        long words = WindowGroup.WordsOf(op, V.Width), lists = 2 * MaxLists(op.Depth);
        float* at = WindowAttentionCpu.Scratch((4 * map) + scores + tile + map + row + (2 * table) + (2 * ((2 * words) + lists)));
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
        _next.Set(first, results);
        _fetch = new LaneFetch(memory + (2 * words), _next.Length);
    }

    /// <summary>Writes a group's results and, for each token, the largest score and one divided by the sum of exponentials.</summary>
    /// <param name="group">The group, the one after the last that was computed.</param>
    /// <param name="table">As <see cref="WindowAttentionCpu.SpreadTable"/> wrote it.</param>
    /// <param name="y">The map of results.</param>
    /// <param name="saved">Two vectors for each token.</param>
    public void Forward(long group, float* table, float* y, float* saved)
    {
        Load(group, table, y, backward: false);
        _fetch.Clear();
        _fetch.Add(_now.Results, 0, _depth);
        FetchNext(group, backward: false);
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_queries, first), Map(_keys).Transposed, Square(_scores), ref _fetch);
            for (int i = 0; i < rows; i++)
            {
                Exponentials(first + i, _scores + ((long)i * _tokens * V.Width), saved + (2 * (first + i) * V.Width));
            }

            LaneProduct.Run<V>(rows, _depth, _tokens, Square(_scores), Map(_values), Map(_rows), ref _fetch);
            // The sums divide the short rows of the result instead of the long ones of the exponentials.
            for (int i = 0; i < rows; i++)
            {
                float* row = _rows + ((long)i * _depth * V.Width);
                var factor = V.Load(saved + (((2 * (first + i)) + 1) * V.Width));
                for (int j = 0; j < _depth; j++)
                    V.Store(V.Load(row + (j * V.Width)) * factor, row + (j * V.Width));
                LaneTurn.Out<V>(row, _depth, 1, _now.Results + ((first + i) * V.Width), 0, _now.Lanes, accumulate: false);
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
        Load(group, table, dy, backward: true);
        _fetch.Clear();
        // The targets of values, queries and keys, in the order in which they are written.
        long toTarget = dQkv == null ? 0 : dQkv - _op.Qkv;
        for (int part = 2; part < 5 && dQkv != null; part++)
            _fetch.Add(_now.Queries, toTarget + (part % 3 * _op.Size), _depth);
        FetchNext(group, backward: true);
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var scores = Square(_scores, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_queries, first), Map(_keys).Transposed, scores, ref _fetch);
            for (int i = 0; i < rows; i++)
            {
                Probabilities(first + i, scores.Data + (i * scores.RowStride), saved + (2 * (first + i) * V.Width));
            }
        }

        if (dQkv != null)
            Sums(_slopesOfResults, toTarget + (2 * _op.Size), accumulate);
        if (sums != null)
            new Span<float>(_sums, _op.Layout.TableRows * V.Width).Clear();
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var scores = Square(_scores, first);
            LaneProduct.Run<V>(rows, _tokens, _depth, Map(_slopesOfResults, first), Map(_values).Transposed, Square(_slopes), ref _fetch);
            for (int i = 0; i < rows; i++)
                SlopesOfScores(first + i, scores.Data + (i * scores.RowStride), _slopes + ((long)i * _tokens * V.Width), sums != null);
            if (dQkv == null)
                continue;
            LaneProduct.Run<V>(rows, _depth, _tokens, scores, Map(_keys), Map(_rows), ref _fetch);
            Write(first, rows, toTarget, _op.Scale, accumulate);
        }

        // The loaded queries hold the factor of the scores, and their unit besides.
        if (dQkv != null)
            Sums(_queries, toTarget + _op.Size, accumulate, 1 / WindowAttentionCpu.ScoreUnit);
        if (sums == null)
            return;
        float* to = sums + _now.FirstHead;
        for (int row = 0; row < _op.Layout.TableRows; row++, to += _op.TableStride)
            LaneRow.Store(V.Load(_sums + (row * V.Width)) + LaneRow.Load<V>(to, _now.Lanes), to, _now.Lanes);
    }

    private readonly MatrixView Map(float* map, int first = 0) => new(map + ((long)first * _depth * V.Width), (long)_depth * V.Width, V.Width);

    private readonly MatrixView Square(float* square, int first = 0) =>
        new(square + ((long)first * _tokens * V.Width), (long)_tokens * V.Width, V.Width);

    private static long MaxLists(int depth) => 7 * ((depth / (Pool.Alignment / sizeof(float))) + 1);

    private void FetchNext(long group, bool backward)
    {
        for (int part = 0; part < 3 && group + 1 < _end; part++)
            _fetch.Add(_next.Queries, part * _op.Size, _depth);
        if (backward && group + 1 < _end)
            _fetch.Add(_next.Results, 0, _depth);
    }

    private void Load(long group, float* table, float* results, bool backward)
    {
        (_now, _next) = (_next, _now);
        if (group + 1 < _end)
            _next.Set(group + 1, results);
        if (_now.IsCut)
            _now.WriteParts(_parts);
        float* bias = table + _now.FirstHead;
        for (int row = 0; row < _op.Layout.TableRows; row++, bias += _op.TableStride)
            V.Store(V.Load(bias), _bias + (row * V.Width));
        for (int token = 0; token < _tokens; token++)
        {
            int at = token * _depth * V.Width;
            float** rows = _now.Queries + (token * V.Width);
            LaneTurn.In<V>(rows, 0, _depth, _op.Scale * WindowAttentionCpu.ScoreUnit, _queries + at);
            LaneTurn.In<V>(rows, _op.Size, _depth, 1, _keys + at);
            LaneTurn.In<V>(rows, 2 * _op.Size, _depth, 1, _values + at);
            if (backward)
                LaneTurn.In<V>(_now.Results + (token * V.Width), 0, _depth, 1, _slopesOfResults + at);
        }
    }

    /// <summary>The gradients of keys or values: for each the sum of rows of <paramref name="map"/> times its column of scores.</summary>
    private void Sums(float* map, long offset, bool accumulate, float factor = 1)
    {
        for (int first = 0, rows; first < _tokens; first += rows)
        {
            rows = LaneProduct.RowsOfTile<V>(_tokens, first);
            var columns = Square(_scores).Transposed.Offset(first * V.Width);
            LaneProduct.Run<V>(rows, _depth, _tokens, columns, Map(map), Map(_rows), ref _fetch);
            Write(first, rows, offset, factor, accumulate);
        }
    }

    private readonly void Write(int first, int rows, long offset, float factor, bool accumulate)
    {
        for (int i = 0; i < rows; i++)
        {
            float* row = _rows + ((long)i * _depth * V.Width);
            LaneTurn.Out<V>(row, _depth, factor, _now.Queries + ((first + i) * V.Width), offset, _now.Lanes, accumulate);
        }
    }

    /// <summary>Scores become exponentials.</summary>
    private readonly void Exponentials(int query, float* scores, float* saved)
    {
        float* bias = BiasOf(query), parts = _parts, part = _now.IsCut ? parts + (query * V.Width) : null;
        int* steps = _op.Layout.TableSteps;
        V max = V.Of(double.NegativeInfinity), sum = V.Of(0);
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            var score = V.Load(at) + Term(bias, steps, parts, part, key);
            V.Store(score, at);
            // A NaN may get lost here; it comes back with the sum of the exponentials.
            max = V.Larger(max, score);
        }

        max = V.Select(V.Equal(max, V.Of(double.NegativeInfinity)), V.Of(0), max);
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            var e = LaneMath.Exp2OfNegative(V.Load(at) - max);
            V.Store(e, at);
            sum += e;
        }

        V.Store(max, saved);
        V.Store(V.Select(V.Equal(sum, V.Of(0)), V.Of(0), V.Of(1) / sum), saved + V.Width);
    }

    /// <summary>Scores become probabilities.</summary>
    private readonly void Probabilities(int query, float* scores, float* saved)
    {
        V max = V.Load(saved), factor = V.Load(saved + V.Width);
        float* bias = BiasOf(query), parts = _parts, part = _now.IsCut ? parts + (query * V.Width) : null;
        int* steps = _op.Layout.TableSteps;
        for (int key = 0; key < _tokens; key++)
        {
            float* at = scores + (key * V.Width);
            V.Store(LaneMath.Exp2OfNegative(V.Load(at) + Term(bias, steps, parts, part, key) - max) * factor, at);
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

    // The bias of a query with itself; that of another key is as many vectors before it as the key's step says.
    private readonly float* BiasOf(int query) =>
        _bias + ((_op.Layout.TableCentre + _op.Layout.TableSteps[query]) * V.Width);

    /// <summary>What is added to a query's score with a key: the bias, and a mask if the query's parts are given.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Term(float* bias, int* steps, float* parts, float* part, int key)
    {
        var term = V.Load(bias - (steps[key] * V.Width));
        return part == null
            ? term
            : term + V.Select(V.Equal(V.Load(parts + (key * V.Width)), V.Load(part)), V.Of(0), V.Of(WindowLayout.AcrossSeam * WindowAttentionCpu.ScoreUnit));
    }
}
