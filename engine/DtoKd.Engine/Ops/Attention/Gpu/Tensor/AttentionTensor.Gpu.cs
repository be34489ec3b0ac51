using ILGPU;
using static DtoKd.Engine.Gpu.AttentionWarp;

namespace DtoKd.Engine.Gpu;

/// <summary>As <see cref="AttentionForward{TTile}"/> on the tensor cores: a group for 64 queries, 32 keys at a time.</summary>
internal readonly struct TensorAttentionForward<TNumber> : IKernel<AttentionArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => Threads;

    public static int SharedBytes => (ValuesAt + (Columns * WarpFactors<TNumber>.Pitch)) * sizeof(float);

    private static int KeysAt => Rows * WarpFactors<TNumber>.Pitch;

    private static int ValuesAt => KeysAt + (Columns * WarpFactors<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var factors = new WarpFactors<TNumber>(shared);
        int item = Grid.IdxX / args.Tiles, query = (Grid.IdxX - (item * args.Tiles)) * Rows;
        var panels = new WarpPanels(args, args.Inputs.At(item));
        var terms = args.Terms.At(item);
        factors.Load(panels.Q(query), 0, Rows);
        int q = Ptx.Keep(WarpFactors<TNumber>.LeftAt);
        int k = Ptx.Keep(KeysAt + WarpFactors<TNumber>.AlongAt), v = Ptx.Keep(ValuesAt + WarpFactors<TNumber>.AcrossAt);
        int first = FirstOfWarp(query);
        Float2 max = new() { X = float.NegativeInfinity, Y = float.NegativeInfinity }, sum = default;
        WarpRows y = default;
        for (int key = 0; key < args.Keys; key += Columns)
        {
            Group.Barrier();
            factors.Load(panels.K(key), KeysAt, Columns);
            factors.Load(panels.V(key), ValuesAt, Columns);
            Group.Barrier();
            // A warp without queries takes part in the copies only.
            if (first >= args.Queries)
                continue;
            var p = factors.Dots(q, k, args.Depth);
            p = WarpScores.OfQueries(args, terms, p, query, key);
            var largest = FoldLanes<Op.LargerOf>(p.Fold<Op.LargerOf>());
            largest = new(Ptx.Max(max.X, largest.X), Ptx.Max(max.Y, largest.Y));
            var shift = new Float2(AttentionMath.Finite(largest.X), AttentionMath.Finite(largest.Y));
            p = WarpScores.Exp(p, shift);
            var shrink = new Float2(AttentionMath.Exp(max.X - shift.X), AttentionMath.Exp(max.Y - shift.Y));
            max = largest;
            var part = p.Fold<SumOf>();
            sum = new(Ptx.Fma(sum.X, shrink.X, part.X), Ptx.Fma(sum.Y, shrink.Y, part.Y));
            y = factors.Multiply(p, v, args.Width, y * shrink);
        }

        sum = FoldLanes<SumOf>(sum);
        var factor = new Float2(AttentionMath.Factor(max.X, sum.X), AttentionMath.Factor(max.Y, sum.Y));
        (y * factor).Store(panels.Y(query));
        if ((Lane & 3) != 0)
            return;
        query += Row;
        AttentionMath.Save(args, terms.C, query, max.X, factor.X);
        AttentionMath.Save(args, terms.C, query + 8, max.Y, factor.Y);
    }
}

/// <summary>As <see cref="AttentionQueries{TTile}"/> on the tensor cores: a group for 64 queries, 32 keys at a time.</summary>
internal readonly struct TensorAttentionQueries<TNumber> : IKernel<AttentionArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => Threads;

    public static int SharedBytes => (ValuesAt + (Columns * WarpFactors<TNumber>.Pitch)) * sizeof(float);

    private static int GradientsAt => Rows * WarpFactors<TNumber>.Pitch;

    private static int KeysAt => 2 * GradientsAt;

    private static int ValuesAt => KeysAt + (Columns * WarpFactors<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var factors = new WarpFactors<TNumber>(shared);
        int item = Grid.IdxX / args.Tiles, query = (Grid.IdxX - (item * args.Tiles)) * Rows;
        var panels = new WarpPanels(args, args.Inputs.At(item));
        var terms = args.Terms.At(item);
        factors.Load(panels.Q(query), 0, Rows);
        factors.Load(panels.Y(query), GradientsAt, Rows);
        int q = Ptx.Keep(WarpFactors<TNumber>.LeftAt);
        int along = Ptx.Keep(KeysAt + WarpFactors<TNumber>.AlongAt), across = Ptx.Keep(KeysAt + WarpFactors<TNumber>.AcrossAt);
        int first = FirstOfWarp(query), row = first + (Lane >> 2);
        var max = Numbers(args.Rows.X, terms.C, args.Rows.Row, row, args.Queries);
        var factor = Numbers(args.Rows.X, terms.C + args.Rows.Column, args.Rows.Row, row, args.Queries);
        var mean = Numbers(args.Means, item * args.Queries, 1, row, args.Queries);
        WarpRows dq = default;
        for (int key = 0; key < args.Keys; key += Columns)
        {
            Group.Barrier();
            factors.Load(panels.K(key), KeysAt, Columns);
            factors.Load(panels.V(key), ValuesAt, Columns);
            Group.Barrier();
            if (first >= args.Queries)
                continue;
            var p = factors.Dots(q, along, args.Depth);
            p = WarpScores.Exp(WarpScores.OfQueries(args, terms, p, query, key), max) * factor;
            var dp = factors.Dots(q + GradientsAt, along + ValuesAt - KeysAt, args.Width);
            dq = factors.Multiply(WarpScores.Slope(p, dp, mean), across, args.Depth, dq);
        }

        (dq * args.Scale).Store(new WarpPanel(args.Dq, args.Targets.At(item).A, query, args.Queries, args.Depth));
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
    public static int MaxGroupSize => Threads;

    public static int SharedBytes => (NumbersAt + (3 * Columns)) * sizeof(float);

    private static int ValuesAt => Rows * WarpFactors<TNumber>.Pitch;

    private static int QueriesAt => 2 * ValuesAt;

    private static int GradientsAt => QueriesAt + (Columns * WarpFactors<TNumber>.Pitch);

    private static int NumbersAt => GradientsAt + (Columns * WarpFactors<TNumber>.Pitch);

    public static void Run(AttentionArgs args)
    {
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var factors = new WarpFactors<TNumber>(shared);
        int item = Grid.IdxX / args.Tiles, key = (Grid.IdxX - (item * args.Tiles)) * Rows;
        var panels = new WarpPanels(args, args.Inputs.At(item));
        Places terms = args.Terms.At(item), targets = args.Targets.At(item);
        factors.Load(panels.K(key), 0, Rows);
        factors.Load(panels.V(key), ValuesAt, Rows);
        int k = Ptx.Keep(WarpFactors<TNumber>.LeftAt);
        int along = Ptx.Keep(QueriesAt + WarpFactors<TNumber>.AlongAt), across = Ptx.Keep(QueriesAt + WarpFactors<TNumber>.AcrossAt);
        const int Beside = 2 * Columns;
        int first = FirstOfWarp(key);
        WarpRows dk = default, dv = default;
        for (int query = 0; query < args.Queries; query += Columns)
        {
            Group.Barrier();
            factors.Load(panels.Q(query), QueriesAt, Columns);
            factors.Load(panels.Y(query), GradientsAt, Columns);
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
            var p = factors.Dots(k, along, args.Depth);
            ref float numbers = ref shared[NumbersAt + Column];
            p = WarpScores.ExpOfColumns(WarpScores.OfKeys(args, terms, p, query, key), ref numbers);
            if (args.Dv.IsWanted != 0)
                dv = factors.Multiply(p, across + GradientsAt - QueriesAt, args.Width, dv);
            if (args.Dk.IsWanted == 0)
                continue;
            var dp = factors.Dots(k + ValuesAt, along + GradientsAt - QueriesAt, args.Width);
            dk = factors.Multiply(WarpScores.SlopeOfColumns(p, dp, ref numbers), across, args.Depth, dk);
        }

        if (args.Dv.IsWanted != 0)
            dv.Store(new WarpPanel(args.Dv, targets.C, key, args.Keys, args.Width));
        if (args.Dk.IsWanted != 0)
            (dk * args.Scale).Store(new WarpPanel(args.Dk, targets.B, key, args.Keys, args.Depth));
    }
}

/// <summary>The rows of an item's matrices from one of them on; backward, those of dy for y's.</summary>
internal readonly struct WarpPanels(AttentionArgs args, Places at)
{
    private readonly AttentionArgs _args = args;
    private readonly Places _at = at;

    public WarpPanel Q(int first) => new(_args.Q, _at.A, first, _args.Queries, _args.Depth);

    public WarpPanel K(int first) => new(_args.K, _at.B, first, _args.Keys, _args.Depth);

    public WarpPanel V(int first) => new(_args.V, _at.C, first, _args.Keys, _args.Width);

    public WarpPanel Y(int first) => new(_args.Y, _at.D, first, _args.Queries, _args.Width);
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
        var pair = new Float2(x, y);
        if (accumulate != 0)
        {
            var before = pairs[at / 2];
            pair = new(x + before.X, y + before.Y);
        }

        pairs[at / 2] = pair;
    }
}
