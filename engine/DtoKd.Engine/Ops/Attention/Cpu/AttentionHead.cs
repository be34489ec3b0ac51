using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// The sizes of one head's attention on the CPU, and its cut into tiles of queries, whose scores alone exist at a time.
/// </summary>
internal sealed class HeadSizes
{
    // Scores of one tile: 128 KiB stay in the L2 cache, and 126 rows make good use of the keys once loaded.
    private const int TileElements = 32768;
    private const int MinTileRows = 14;
    private const int MaxTileRows = 126;

    // Divisible by every vector width.
    private const int Lanes = 16;

    public HeadSizes(int queries, int keys, int depth, int width, double scale)
    {
        (Queries, Keys, Depth, Width, Scale) = (queries, keys, depth, width, (float)scale);
        Stride = RoundUp(keys, Lanes);
        DepthStride = RoundUp(depth, Lanes);
        WidthStride = RoundUp(width, Lanes);
        int rows = Math.Clamp(TileElements / Math.Max(1, Stride), MinTileRows, MaxTileRows);
        int tiles = Math.Max(1, (queries + rows - 1) / rows);
        TileRows = Math.Max(1, (queries + tiles - 1) / tiles);
        Tiles = queries == 0 ? 1 : (queries + TileRows - 1) / TileRows;
    }

    public int Queries { get; }

    public int Keys { get; }

    /// <summary>Columns of queries and keys.</summary>
    public int Depth { get; }

    /// <summary>Columns of values and results.</summary>
    public int Width { get; }

    /// <summary>The factor of the products of queries and keys.</summary>
    public float Scale { get; }

    /// <summary>Elements from one row of scores to the next.</summary>
    public int Stride { get; }

    /// <summary>Elements from one row of loaded queries or keys to the next.</summary>
    public int DepthStride { get; }

    /// <summary>Elements from one row of loaded values or results to the next.</summary>
    public int WidthStride { get; }

    /// <summary>Queries in a tile; the last may have fewer.</summary>
    public int TileRows { get; }

    /// <summary>Tiles, at least one.</summary>
    public int Tiles { get; }

    /// <summary>Floating-point operations of one product of the scores' size.</summary>
    public double Flops => 2.0 * Queries * Keys * Math.Max(Depth, Width);

    /// <summary>Queries in a tile.</summary>
    public int RowsOf(int tile) => Math.Min(TileRows, Queries - (tile * TileRows));

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}

/// <summary>
/// Attention of one head after the other in one thread's scratch. Rows are copied there from wherever they are and the results
/// back, once each; the products in between stay in the caches near the core.
/// </summary>
internal readonly unsafe struct AttentionHead
{
    [ThreadStatic]
    private static float[]? _scratch;

    private readonly HeadSizes _sizes;
    private readonly float* _queries;
    private readonly float* _keys;
    private readonly float* _keysTurned;
    private readonly float* _values;
    private readonly float* _valuesTurned;
    private readonly float* _results;
    private readonly float* _scores;
    private readonly float* _slopes;
    private readonly float* _means;
    private readonly float* _dQueries;
    private readonly float* _dKeys;
    private readonly float* _dValues;

    /// <summary>Lays out the calling thread's scratch. Another head of this thread must not be in use.</summary>
    public AttentionHead(HeadSizes sizes, bool backward)
    {
        _sizes = sizes;
        long queries = (long)sizes.TileRows * sizes.DepthStride, keys = (long)sizes.Keys * sizes.DepthStride;
        long values = (long)sizes.Keys * sizes.WidthStride, results = (long)sizes.TileRows * sizes.WidthStride;
        long keysTurned = (long)sizes.Depth * sizes.Stride, valuesTurned = (long)sizes.Width * sizes.Stride;
        long scores = (long)sizes.TileRows * sizes.Stride;
        long total = queries + keys + keysTurned + values + results + scores;
        if (backward)
            total += valuesTurned + scores + queries + keys + values + sizes.TileRows;
        float* at = PackBuffers.Aligned(ref _scratch, total);
        _queries = at;
        _keys = at += queries;
        _keysTurned = at += keys;
        _values = at += keysTurned;
        _results = at += values;
        _scores = at += results;
        _valuesTurned = at += scores;
        _slopes = at += valuesTurned;
        _dQueries = at += scores;
        _dKeys = at += queries;
        _dValues = at += keys;
        _means = at + values;
    }

    /// <summary>Turns to a head: loads its keys and values.</summary>
    public void Load<V>(in HeadInputs head)
        where V : unmanaged, IFloatLane<V>
    {
        if (_sizes.Keys == 0)
            return;
        head.Keys.Load<V>(0, _sizes.Keys, _sizes.Depth, 1, _keys, _sizes.DepthStride);
        Packing.Transpose(_keys, _sizes.DepthStride, _sizes.Keys, _sizes.Depth, _keysTurned, _sizes.Stride);
        head.Values.Load<V>(0, _sizes.Keys, _sizes.Width, 1, _values, _sizes.WidthStride);
    }

    /// <summary>The results of a tile of queries.</summary>
    /// <param name="tile">The tile's number.</param>
    /// <param name="head">The head.</param>
    /// <param name="terms">What is added to the scores.</param>
    /// <param name="saved">For each query of the head, the largest score and one divided by the sum of exponentials.</param>
    /// <param name="next">The head that follows, which is fetched meanwhile.</param>
    public void Forward<V>(int tile, in HeadInputs head, in ScoreTerms terms, float* saved, in HeadInputs next)
        where V : unmanaged, IFloatLane<V>
    {
        int first = tile * _sizes.TileRows, rows = _sizes.RowsOf(tile), stride = _sizes.Stride, columns = Columns<V>(_sizes.Keys);
        saved += 2 * first;
        Scores<V>(first, rows, head.Queries);
        // Two loops, so that the next row's work hides how long the maximum of a vector takes.
        for (int i = 0; i < rows; i++)
        {
            float max = V.Largest(terms.Add<V>(_scores + ((long)i * stride), first + i, _sizes.Keys));
            saved[2 * i] = float.IsNegativeInfinity(max) ? 0 : max;
        }

        for (int i = 0; i < rows; i++)
        {
            next.Prefetch(first + i, _sizes);
            float sum = Exponentials<V>(_scores + ((long)i * stride), saved[2 * i], columns);
            saved[(2 * i) + 1] = sum == 0 ? 0 : 1 / sum;
        }

        NearProduct.Run<V>(rows, Columns<V>(_sizes.Width), _sizes.Keys, new MatrixView(_scores, stride),
            _values, _sizes.WidthStride, _results, _sizes.WidthStride);
        // The sums divide the short rows of the result instead of the long ones of the exponentials.
        for (int i = 0; i < rows; i++)
            head.Results.StoreRow<V>(first + i, _sizes.Width, saved[(2 * i) + 1], _results + ((long)i * _sizes.WidthStride));
    }

    /// <summary>All the gradients of a head that has been loaded.</summary>
    /// <param name="head">The head, with the gradients of its results.</param>
    /// <param name="terms">What is added to the scores.</param>
    /// <param name="saved">As the forward pass wrote it.</param>
    /// <param name="dq">Where the gradients of the queries go; likewise of keys and values. Null for nowhere.</param>
    /// <param name="dk">See <paramref name="dq"/>.</param>
    /// <param name="dv">See <paramref name="dq"/>.</param>
    /// <param name="sums">[Nq, Nk], to which the gradients of the scores are added, or null.</param>
    /// <param name="next">The head that follows, which is fetched meanwhile.</param>
    public void Backward<V>(
        in HeadInputs head, in ScoreTerms terms, float* saved, in HeadTarget dq, in HeadTarget dk, in HeadTarget dv,
        float* sums, in HeadInputs next)
        where V : unmanaged, IFloatLane<V>
    {
        int stride = _sizes.Stride, keys = _sizes.Keys, columns = Columns<V>(keys);
        int depthStride = _sizes.DepthStride, depth = Columns<V>(_sizes.Depth);
        int widthStride = _sizes.WidthStride, width = Columns<V>(_sizes.Width);
        if (keys > 0)
            Packing.Transpose(_values, widthStride, keys, _sizes.Width, _valuesTurned, stride);
        for (int tile = 0; tile < _sizes.Tiles; tile++)
        {
            int first = tile * _sizes.TileRows, rows = _sizes.RowsOf(tile);
            Scores<V>(first, rows, head.Queries);
            head.Results.Load<V>(first, rows, _sizes.Width, 1, _results, widthStride);
            NearProduct.Run<V>(rows, columns, _sizes.Width, new MatrixView(_results, widthStride), _valuesTurned, stride, _slopes, stride);
            for (int i = 0; i < rows; i++)
            {
                float* p = _scores + ((long)i * stride), row = saved + (2 * (first + i));
                next.Prefetch(first + i, _sizes);
                dq.Rows.Prefetch(first + i, _sizes.Depth);
                if (first + i < keys)
                {
                    dk.Rows.Prefetch(first + i, _sizes.Depth);
                    dv.Rows.Prefetch(first + i, _sizes.Width);
                }

                terms.Add<V>(p, first + i, keys);
                _means[i] = Probabilities<V>(p, _slopes + ((long)i * stride), columns, row[0], row[1]);
            }

            for (int i = 0; i < rows; i++)
            {
                float* ds = _slopes + ((long)i * stride);
                SlopesOfScores<V>(_scores + ((long)i * stride), ds, columns, _means[i]);
                if (sums != null)
                    AddRow<V>(ds, sums + ((long)(first + i) * keys), keys);
            }

            MatrixView probabilities = new(_scores, stride), slopes = new(_slopes, stride);
            if (dv.IsWanted)
                NearProduct.Run<V>(keys, width, rows, probabilities.Transposed, _results, widthStride, _dValues, widthStride, tile > 0);
            // The loaded queries hold the factor of the scores.
            if (dk.IsWanted)
                NearProduct.Run<V>(keys, depth, rows, slopes.Transposed, _queries, depthStride, _dKeys, depthStride, tile > 0);
            if (dq.IsWanted)
            {
                NearProduct.Run<V>(rows, depth, keys, slopes, _keys, depthStride, _dQueries, depthStride);
                dq.Rows.Store<V>(first, rows, _sizes.Depth, _sizes.Scale, _dQueries, depthStride, dq.Accumulate);
            }
        }

        if (dv.IsWanted)
            dv.Rows.Store<V>(0, keys, _sizes.Width, 1, _dValues, widthStride, dv.Accumulate);
        if (dk.IsWanted)
            dk.Rows.Store<V>(0, keys, _sizes.Depth, 1, _dKeys, depthStride, dk.Accumulate);
    }

    private static int Columns<V>(int count)
        where V : unmanaged, IFloatLane<V> => (count + V.Width - 1) / V.Width * V.Width;

    /// <summary>scale q k^T of a tile.</summary>
    private void Scores<V>(int first, int rows, in HeadRows q)
        where V : unmanaged, IFloatLane<V>
    {
        q.Load<V>(first, rows, _sizes.Depth, _sizes.Scale, _queries, _sizes.DepthStride);
        NearProduct.Run<V>(rows, Columns<V>(_sizes.Keys), _sizes.Depth, new MatrixView(_queries, _sizes.DepthStride),
            _keysTurned, _sizes.Stride, _scores, _sizes.Stride);
    }

    /// <summary>Scores become exponentials; returns their sum.</summary>
    private static float Exponentials<V>(float* row, float max, int count)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Broadcast(max), sum = V.Of(0);
        for (int i = 0; i < count; i += V.Width)
        {
            var e = LaneMath.ExpOfNegative(V.Load(row + i) - m);
            V.Store(e, row + i);
            sum += e;
        }

        return V.Sum(sum);
    }

    /// <summary>Scores become probabilities p; returns the sum of p dp over their gradients dp.</summary>
    private static float Probabilities<V>(float* p, float* dp, int count, float max, float factor)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Broadcast(max), f = V.Broadcast(factor), sum = V.Of(0);
        for (int i = 0; i < count; i += V.Width)
        {
            var probability = LaneMath.ExpOfNegative(V.Load(p + i) - m) * f;
            V.Store(probability, p + i);
            sum = V.MultiplyAdd(probability, V.Load(dp + i), sum);
        }

        return V.Sum(sum);
    }

    /// <summary>The gradients dp of probabilities p become those of the scores, p (dp - the sum of p dp).</summary>
    private static void SlopesOfScores<V>(float* p, float* dp, int count, float sum)
        where V : unmanaged, IFloatLane<V>
    {
        var mean = V.Broadcast(sum);
        for (int i = 0; i < count; i += V.Width)
            V.Store(V.Load(p + i) * (V.Load(dp + i) - mean), dp + i);
    }

    private static void AddRow<V>(float* row, float* sums, int count)
        where V : unmanaged, IFloatLane<V>
    {
        for (int i = 0; i < count; i += V.Width)
            LaneRow.Store(V.Load(row + i) + LaneRow.Load<V>(sums + i, count - i), sums + i, count - i);
    }
}

/// <summary>Where the gradient of a head's rows goes; the default is nowhere.</summary>
internal readonly struct HeadTarget(HeadRows rows, bool accumulate)
{
    public bool IsWanted { get; } = true;

    public HeadRows Rows { get; } = rows;

    public bool Accumulate { get; } = accumulate;
}
