using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>As <see cref="AttentionForward{TTile}"/> on the tensor cores: a group for 64 queries, 32 keys at a time.</summary>
internal readonly struct TensorAttentionForward<TNumber> : IKernel<AttentionArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => AttentionWarp<TNumber>.Threads;

    public static int SharedBytes => (ValuesAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch)) * sizeof(float);

    private static int KeysAt => AttentionWarp<TNumber>.Rows * AttentionWarp<TNumber>.Pitch;

    private static int ValuesAt => KeysAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        const int Columns = AttentionWarp<TNumber>.Columns;
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        int item = Grid.IdxX / args.Tiles, query = (Grid.IdxX - (item * args.Tiles)) * AttentionWarp<TNumber>.Rows;
        Places at = args.Inputs.At(item), terms = args.Terms.At(item);
        AttentionWarp<TNumber>.Load(new WarpPanel(args.Q, at.A, query, args.Queries, args.Depth), shared, 0, AttentionWarp<TNumber>.Rows);
        int q = Ptx.Keep(AttentionWarp<TNumber>.LeftAt);
        int k = Ptx.Keep(KeysAt + AttentionWarp<TNumber>.AlongAt), v = Ptx.Keep(ValuesAt + AttentionWarp<TNumber>.AcrossAt);
        int first = AttentionWarp<TNumber>.FirstOfWarp(query);
        Float2 max = new() { X = float.NegativeInfinity, Y = float.NegativeInfinity }, sum = default;
        WarpRows y = default;
        for (int key = 0; key < args.Keys; key += Columns)
        {
            Group.Barrier();
            AttentionWarp<TNumber>.Load(new WarpPanel(args.K, at.B, key, args.Keys, args.Depth), shared, KeysAt, Columns);
            AttentionWarp<TNumber>.Load(new WarpPanel(args.V, at.C, key, args.Keys, args.Width), shared, ValuesAt, Columns);
            Group.Barrier();
            // A warp without queries takes part in the copies only.
            if (first >= args.Queries)
                continue;
            var p = AttentionWarp<TNumber>.Dots(shared, q, k, args.Depth);
            p = WarpScores<TNumber>.OfQueries(args, terms, p, query, key);
            var largest = AttentionWarp<TNumber>.FoldLanes<Op.LargerOf>(AttentionWarp<TNumber>.FoldTile<Op.LargerOf>(p));
            largest = new() { X = Ptx.Max(max.X, largest.X), Y = Ptx.Max(max.Y, largest.Y) };
            var shift = new Float2 { X = AttentionMath.Finite(largest.X), Y = AttentionMath.Finite(largest.Y) };
            p = WarpScores<TNumber>.Exp(p, shift);
            var shrink = new Float2 { X = AttentionMath.Exp(max.X - shift.X), Y = AttentionMath.Exp(max.Y - shift.Y) };
            max = largest;
            var part = AttentionWarp<TNumber>.FoldTile<SumOf>(p);
            sum = new() { X = Ptx.Fma(sum.X, shrink.X, part.X), Y = Ptx.Fma(sum.Y, shrink.Y, part.Y) };
            y = AttentionWarp<TNumber>.Multiply(p, shared, v, args.Width, y * shrink);
        }

        sum = AttentionWarp<TNumber>.FoldLanes<SumOf>(sum);
        var factor = new Float2 { X = AttentionMath.Factor(max.X, sum.X), Y = AttentionMath.Factor(max.Y, sum.Y) };
        AttentionWarp<TNumber>.Store(y * factor, new WarpPanel(args.Y, at.D, query, args.Queries, args.Width));
        if ((AttentionWarp<TNumber>.Lane & 3) != 0)
            return;
        query += AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2);
        AttentionMath.Save(args, terms.C, query, max.X, factor.X);
        AttentionMath.Save(args, terms.C, query + 8, max.Y, factor.Y);
    }
}

/// <summary>As <see cref="AttentionQueries{TTile}"/> on the tensor cores: a group for 64 queries, 32 keys at a time.</summary>
internal readonly struct TensorAttentionQueries<TNumber> : IKernel<AttentionArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => AttentionWarp<TNumber>.Threads;

    public static int SharedBytes => (ValuesAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch)) * sizeof(float);

    private static int GradientsAt => AttentionWarp<TNumber>.Rows * AttentionWarp<TNumber>.Pitch;

    private static int KeysAt => 2 * GradientsAt;

    private static int ValuesAt => KeysAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        const int Columns = AttentionWarp<TNumber>.Columns;
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        int item = Grid.IdxX / args.Tiles, query = (Grid.IdxX - (item * args.Tiles)) * AttentionWarp<TNumber>.Rows;
        Places at = args.Inputs.At(item), terms = args.Terms.At(item);
        AttentionWarp<TNumber>.Load(new WarpPanel(args.Q, at.A, query, args.Queries, args.Depth), shared, 0, AttentionWarp<TNumber>.Rows);
        AttentionWarp<TNumber>.Load(
            new WarpPanel(args.Y, at.D, query, args.Queries, args.Width), shared, GradientsAt, AttentionWarp<TNumber>.Rows);
        int q = Ptx.Keep(AttentionWarp<TNumber>.LeftAt);
        int along = Ptx.Keep(KeysAt + AttentionWarp<TNumber>.AlongAt), across = Ptx.Keep(KeysAt + AttentionWarp<TNumber>.AcrossAt);
        int first = AttentionWarp<TNumber>.FirstOfWarp(query), row = first + (AttentionWarp<TNumber>.Lane >> 2);
        var max = Numbers(args.Rows.X, terms.C, args.Rows.Row, row, args.Queries);
        var factor = Numbers(args.Rows.X, terms.C + args.Rows.Column, args.Rows.Row, row, args.Queries);
        var mean = Numbers(args.Means, item * args.Queries, 1, row, args.Queries);
        WarpRows dq = default;
        for (int key = 0; key < args.Keys; key += Columns)
        {
            Group.Barrier();
            AttentionWarp<TNumber>.Load(new WarpPanel(args.K, at.B, key, args.Keys, args.Depth), shared, KeysAt, Columns);
            AttentionWarp<TNumber>.Load(new WarpPanel(args.V, at.C, key, args.Keys, args.Width), shared, ValuesAt, Columns);
            Group.Barrier();
            if (first >= args.Queries)
                continue;
            var p = AttentionWarp<TNumber>.Dots(shared, q, along, args.Depth);
            p = WarpScores<TNumber>.Exp(WarpScores<TNumber>.OfQueries(args, terms, p, query, key), max) * factor;
            var dp = AttentionWarp<TNumber>.Dots(shared, q + GradientsAt, along + ValuesAt - KeysAt, args.Width);
            dq = AttentionWarp<TNumber>.Multiply(WarpScores<TNumber>.Slope(p, dp, mean), shared, across, args.Depth, dq);
        }

        var scale = new Float2 { X = args.Scale, Y = args.Scale };
        AttentionWarp<TNumber>.Store(dq * scale, new WarpPanel(args.Dq, args.Targets.At(item).A, query, args.Queries, args.Depth));
    }

    private static Float2 Numbers(ArrayView<float> source, int at, int stride, int row, int rows) => new()
    {
        X = row < rows ? source[at + (row * stride)] : 0,
        Y = row + 8 < rows ? source[at + ((row + 8) * stride)] : 0,
    };
}

/// <summary>As <see cref="AttentionKeys{TTile}"/> on the tensor cores: a group for 64 keys, 32 queries at a time.</summary>
internal readonly struct TensorAttentionKeys<TNumber> : IKernel<AttentionArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => AttentionWarp<TNumber>.Threads;

    public static int SharedBytes => (NumbersAt + (3 * AttentionWarp<TNumber>.Columns)) * sizeof(float);

    private static int ValuesAt => AttentionWarp<TNumber>.Rows * AttentionWarp<TNumber>.Pitch;

    private static int QueriesAt => 2 * ValuesAt;

    private static int GradientsAt => QueriesAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch);

    private static int NumbersAt => GradientsAt + (AttentionWarp<TNumber>.Columns * AttentionWarp<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        const int Columns = AttentionWarp<TNumber>.Columns;
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        int item = Grid.IdxX / args.Tiles, key = (Grid.IdxX - (item * args.Tiles)) * AttentionWarp<TNumber>.Rows;
        Places at = args.Inputs.At(item), terms = args.Terms.At(item), targets = args.Targets.At(item);
        AttentionWarp<TNumber>.Load(new WarpPanel(args.K, at.B, key, args.Keys, args.Depth), shared, 0, AttentionWarp<TNumber>.Rows);
        AttentionWarp<TNumber>.Load(new WarpPanel(args.V, at.C, key, args.Keys, args.Width), shared, ValuesAt, AttentionWarp<TNumber>.Rows);
        int k = Ptx.Keep(AttentionWarp<TNumber>.LeftAt);
        int along = Ptx.Keep(QueriesAt + AttentionWarp<TNumber>.AlongAt), across = Ptx.Keep(QueriesAt + AttentionWarp<TNumber>.AcrossAt);
        const int Beside = 2 * Columns;
        int first = AttentionWarp<TNumber>.FirstOfWarp(key);
        WarpRows dk = default, dv = default;
        for (int query = 0; query < args.Queries; query += Columns)
        {
            Group.Barrier();
            AttentionWarp<TNumber>.Load(new WarpPanel(args.Q, at.A, query, args.Queries, args.Depth), shared, QueriesAt, Columns);
            AttentionWarp<TNumber>.Load(new WarpPanel(args.Y, at.D, query, args.Queries, args.Width), shared, GradientsAt, Columns);
            if (Group.IdxX < Columns)
            {
                // A query beyond the last has probabilities of 0.
                int own = query + Group.IdxX, to = NumbersAt + Group.IdxX;
                bool isInside = own < args.Queries;
                shared[to] = isInside ? args.Rows.X[terms.C + (own * args.Rows.Row)] : 0;
                shared[to + Columns] = isInside ? args.Rows.X[terms.C + (own * args.Rows.Row) + args.Rows.Column] : 0;
                shared[to + Beside] = isInside ? args.Means[(item * args.Queries) + own] : 0;
            }

            Group.Barrier();
            if (first >= args.Keys)
                continue;
            var p = AttentionWarp<TNumber>.Dots(shared, k, along, args.Depth);
            ref float numbers = ref shared[NumbersAt + (2 * (AttentionWarp<TNumber>.Lane & 3))];
            p = WarpScores<TNumber>.ExpOfColumns(WarpScores<TNumber>.OfKeys(args, terms, p, query, key), ref numbers);
            if (args.Dv.IsWanted != 0)
                dv = AttentionWarp<TNumber>.Multiply(p, shared, across + GradientsAt - QueriesAt, args.Width, dv);
            if (args.Dk.IsWanted == 0)
                continue;
            var dp = AttentionWarp<TNumber>.Dots(shared, k + ValuesAt, along + GradientsAt - QueriesAt, args.Width);
            dk = AttentionWarp<TNumber>.Multiply(WarpScores<TNumber>.SlopeOfColumns(p, dp, ref numbers), shared, across, args.Depth, dk);
        }

        if (args.Dv.IsWanted != 0)
            AttentionWarp<TNumber>.Store(dv, new WarpPanel(args.Dv, targets.C, key, args.Keys, args.Width));
        var scale = new Float2 { X = args.Scale, Y = args.Scale };
        if (args.Dk.IsWanted != 0)
            AttentionWarp<TNumber>.Store(dk * scale, new WarpPanel(args.Dk, targets.B, key, args.Keys, args.Depth));
    }
}

/// <summary>Rows of a matrix from <paramref name="first"/> on.</summary>
internal readonly struct WarpPanel(Matrix matrix, int at, int first, int rows, int columns) : IWarpPanel
{
    private readonly Matrix _matrix = matrix;
    private readonly int _at = at + (first * matrix.Row), _rows = rows - first;

    public int Columns { get; } = columns;

    public bool Has(int row) => row < _rows;

    public Float4 Read(int row, int column) => Ptx.LoadReadOnly4(ref _matrix.X[_at + (row * _matrix.Row) + column]);

    public void Write(int row, int column, float x, float y) =>
        Write(_matrix.X, _at + (row * _matrix.Row) + column, _matrix.Accumulate, x, y);

    /// <summary>Writes or adds two neighbours at an even place.</summary>
    public static void Write(ArrayView<float> target, int at, int accumulate, float x, float y)
    {
        var pairs = target.Cast<Float2>();
        var pair = new Float2 { X = x, Y = y };
        if (accumulate != 0)
        {
            var before = pairs[at / 2];
            pair = new() { X = x + before.X, Y = y + before.Y };
        }

        pairs[at / 2] = pair;
    }
}

/// <summary>Scores, their softmax and its gradient on the part of a lane.</summary>
internal static class WarpScores<TNumber>
    where TNumber : struct, IAttentionNumber
{
    /// <summary>Scores of queries down and keys across; minus infinity beyond the last key.</summary>
    public static WarpTile OfQueries(AttentionArgs args, Places at, WarpTile dots, int query, int key)
    {
        if (args.HasTerms == 0 && key + AttentionWarp<TNumber>.Columns <= args.Keys)
            return dots * args.Scale;
        query += AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2);
        key += 2 * (AttentionWarp<TNumber>.Lane & 3);
        return new()
        {
            A = OfQueries(args, at, dots.A, query, key),
            B = OfQueries(args, at, dots.B, query, key + 8),
            C = OfQueries(args, at, dots.C, query, key + 16),
            D = OfQueries(args, at, dots.D, query, key + 24),
        };
    }

    /// <summary>Scores of keys down and queries across.</summary>
    public static WarpTile OfKeys(AttentionArgs args, Places at, WarpTile dots, int query, int key)
    {
        if (args.HasTerms == 0)
            return dots * args.Scale;
        key += AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2);
        query += 2 * (AttentionWarp<TNumber>.Lane & 3);
        return new()
        {
            A = OfKeys(args, at, dots.A, query, key),
            B = OfKeys(args, at, dots.B, query + 8, key),
            C = OfKeys(args, at, dots.C, query + 16, key),
            D = OfKeys(args, at, dots.D, query + 24, key),
        };
    }

    /// <summary>exp(x - shift), with a shift for each row.</summary>
    public static WarpTile Exp(WarpTile x, Float2 shift)
    {
        var shifts = WarpTile.Spread(shift);
        return new()
        {
            A = AttentionMath.Exp(x.A, shifts),
            B = AttentionMath.Exp(x.B, shifts),
            C = AttentionMath.Exp(x.C, shifts),
            D = AttentionMath.Exp(x.D, shifts),
        };
    }

    /// <summary>
    /// exp(x - shift) factor, with a shift and a factor for each column: 32 shifts, 32 factors, of which the lane's first is given.
    /// </summary>
    public static WarpTile ExpOfColumns(WarpTile x, ref float numbers) => new()
    {
        A = AttentionMath.Exp(x.A, Pair(ref numbers, 0)) * Pair(ref numbers, 32),
        B = AttentionMath.Exp(x.B, Pair(ref numbers, 8)) * Pair(ref numbers, 40),
        C = AttentionMath.Exp(x.C, Pair(ref numbers, 16)) * Pair(ref numbers, 48),
        D = AttentionMath.Exp(x.D, Pair(ref numbers, 24)) * Pair(ref numbers, 56),
    };

    /// <summary>p (dp - mean), with a mean for each row.</summary>
    public static WarpTile Slope(WarpTile p, WarpTile dp, Float2 mean)
    {
        var means = WarpTile.Spread(mean);
        return new() { A = p.A * (dp.A - means), B = p.B * (dp.B - means), C = p.C * (dp.C - means), D = p.D * (dp.D - means) };
    }

    /// <summary>p (dp - mean), with a mean for each column, behind shifts and factors.</summary>
    public static WarpTile SlopeOfColumns(WarpTile p, WarpTile dp, ref float numbers) => new()
    {
        A = p.A * (dp.A - Pair(ref numbers, 64)),
        B = p.B * (dp.B - Pair(ref numbers, 72)),
        C = p.C * (dp.C - Pair(ref numbers, 80)),
        D = p.D * (dp.D - Pair(ref numbers, 88)),
    };

    private static Float4 Pair(ref float numbers, int at)
    {
        var pair = Ptx.LoadShared2(ref numbers, at * sizeof(float));
        return new(pair.X, pair.Y, pair.X, pair.Y);
    }

    private static Float4 OfQueries(AttentionArgs args, Places at, Float4 dots, int query, int key) => new(
        AttentionMath.Score(args, at, dots.X, query, key),
        AttentionMath.Score(args, at, dots.Y, query, key + 1),
        AttentionMath.Score(args, at, dots.Z, query + 8, key),
        AttentionMath.Score(args, at, dots.W, query + 8, key + 1));

    private static Float4 OfKeys(AttentionArgs args, Places at, Float4 dots, int query, int key) => new(
        AttentionMath.Score(args, at, dots.X, query, key),
        AttentionMath.Score(args, at, dots.Y, query + 1, key),
        AttentionMath.Score(args, at, dots.Z, query, key + 8),
        AttentionMath.Score(args, at, dots.W, query + 1, key + 8));
}
