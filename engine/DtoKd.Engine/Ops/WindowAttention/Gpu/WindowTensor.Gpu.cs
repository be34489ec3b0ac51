using ILGPU;
using static DtoKd.Engine.Gpu.AttentionWarp;

namespace DtoKd.Engine.Gpu;

/// <summary>As <see cref="WindowForward{TTile}"/> on the tensor cores: each of four warps has 16 queries.</summary>
internal readonly struct TensorWindowForward<TNumber> : IKernel<WindowArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => Threads;

    public static int SharedBytes => WindowWarp<TNumber>.Places(3) * sizeof(float);

    public static void Run(WindowArgs args)
    {
        int window = Grid.IdxX / args.Heads, head = Grid.IdxX - (window * args.Heads);
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var tokens = SharedMemory.Allocate<WindowToken>(Rows);
        var table = SharedMemory.Allocate<float>(WindowWarp<TNumber>.TableLength);
        var warp = new WindowWarp<TNumber>(args, head, shared, tokens, table);
        warp.LoadTable();
        WindowTile<Tile16>.Find(args, window, tokens);
        warp.Load(args.RowsOfQkv(WindowMatrix.Queries, head), WindowMatrix.Queries);
        warp.Load(args.RowsOfQkv(WindowMatrix.Keys, head), WindowMatrix.Keys);
        warp.Load(args.RowsOfQkv(WindowMatrix.Values, head), WindowMatrix.Values);
        Group.Barrier();
        // Warps without queries go along: a window of 7 has some for each.
        var p = warp.Probabilities(out _, out var factor);
        var y = warp.Multiply(p, WindowMatrix.Values);
        (y * factor).Store(new WindowPanel(args, tokens, args.RowsOfY(head)));
    }
}

/// <summary>
/// As <see cref="WindowBackward{TTile}"/> on the tensor cores. The scores are computed twice: with queries down for their gradients,
/// and with keys down for those of keys and values.
/// </summary>
internal readonly struct TensorWindowBackward<TNumber> : IKernel<WindowArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => Threads;

    public static int SharedBytes => WindowWarp<TNumber>.Places(4) * sizeof(float);

    public static void Run(WindowArgs args)
    {
        int piece = Grid.IdxX / args.Heads, head = Grid.IdxX - (piece * args.Heads);
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var tokens = SharedMemory.Allocate<WindowToken>(Rows);
        var table = SharedMemory.Allocate<float>(WindowWarp<TNumber>.TableLength);
        // Of 32 queries, and of 32 more: shifts, factors and means.
        var numbers = SharedMemory.Allocate<Float2>(3 * Rows / 2).Cast<float>();
        var warp = new WindowWarp<TNumber>(args, head, shared, tokens, table);
        warp.LoadTable();
        int first = piece * args.PerGroup, end = IntrinsicMath.Min(first + args.PerGroup, args.Windows);
        int row = Row, count = args.Window * args.Window;
        WarpScorePair sum = default;
        for (int window = first; window < end; window++)
        {
            WindowTile<Tile16>.Find(args, window, tokens);
            warp.Load(args.RowsOfQkv(WindowMatrix.Queries, head), WindowMatrix.Queries);
            warp.Load(args.RowsOfQkv(WindowMatrix.Keys, head), WindowMatrix.Keys);
            warp.Load(args.RowsOfQkv(WindowMatrix.Values, head), WindowMatrix.Values);
            warp.Load(args.RowsOfY(head), WindowMatrix.Gradients);
            Group.Barrier();
            // Warps without tokens go along: a window of 7 has some for each.
            var p = warp.Probabilities(out var max, out var factor);
            p = new() { First = p.First * factor, Second = p.Second * factor };
            var dp = warp.Dots(WindowMatrix.Gradients, WindowMatrix.Values);
            var mean = FoldLanes<SumOf>((p.First * dp.First).Fold<SumOf>() + (p.Second * dp.Second).Fold<SumOf>());
            var ds = new WarpScorePair
            {
                First = WarpScores.Slope(p.First, dp.First, mean),
                Second = WarpScores.Slope(p.Second, dp.Second, mean),
            };
            sum = new() { First = sum.First + ds.First, Second = sum.Second + ds.Second };
            if (args.HasDQkv == 0)
                continue;
            warp.Give(warp.Multiply(ds, WindowMatrix.Keys), WindowMatrix.Queries, args.Scale);
            if ((Lane & 3) == 0)
            {
                // Rows that are no queries have probabilities of 0.
                Save(numbers, row, count, max.X, factor.X, mean.X);
                Save(numbers, row + 8, count, max.Y, factor.Y, mean.Y);
            }

            Group.Barrier();
            GiveKeys(args, warp, numbers);
        }

        if (args.HasDTable == 0)
            return;
        Group.Barrier();
        Store(sum.First, shared, 0);
        Store(sum.Second, shared, Columns);
        WindowTile<Tile16>.Collect(args, piece, head, shared);
    }

    /// <summary>The gradients of the warp's keys and values.</summary>
    private static void GiveKeys(WindowArgs args, WindowWarp<TNumber> warp, ArrayView<float> numbers)
    {
        WarpRows dk = default, dv = default;
        for (int query = 0; query < args.Window * args.Window; query += Columns)
        {
            var p = warp.Dots(WindowMatrix.Keys, WindowMatrix.Queries, query);
            p = warp.ScoresOfKeys(p, query);
            ref float own = ref numbers[(3 * query) + Column];
            p = WarpScores.ExpOfColumns(p, ref own);
            dv = warp.Multiply(p, WindowMatrix.Gradients, query, dv);
            var dp = warp.Dots(WindowMatrix.Values, WindowMatrix.Gradients, query);
            dk = warp.Multiply(WarpScores.SlopeOfColumns(p, dp, ref own), WindowMatrix.Queries, query, dk);
        }

        warp.Give(dk, WindowMatrix.Keys, args.Scale);
        warp.Give(dv, WindowMatrix.Values, 1);
    }

    private static void Save(ArrayView<float> numbers, int row, int count, float max, float factor, float mean)
    {
        int at = (row / Columns * 3 * Columns) + (row % Columns);
        numbers[at] = row < count ? max : 0;
        numbers[at + Columns] = row < count ? factor : 0;
        numbers[at + (2 * Columns)] = row < count ? mean : 0;
    }

    private static void Store(WarpTile tile, ArrayView<float> scores, int column)
    {
        int pitch = AttentionTile<Tile16>.Pitch, lane = Lane;
        int at = ((FirstRow + (lane >> 2)) * pitch) + column + (2 * (lane & 3));
        Store(tile.A, scores, at, pitch);
        Store(tile.B, scores, at + 8, pitch);
        Store(tile.C, scores, at + 16, pitch);
        Store(tile.D, scores, at + 24, pitch);
    }

    private static void Store(Float4 sums, ArrayView<float> scores, int at, int pitch)
    {
        scores[at] = sums.X;
        scores[at + 1] = sums.Y;
        scores[at + (8 * pitch)] = sums.Z;
        scores[at + (8 * pitch) + 1] = sums.W;
    }
}

/// <summary>All scores of 16 tokens of a window: with the first 32 tokens, and with the second.</summary>
internal struct WarpScorePair
{
    public WarpTile First, Second;
}

/// <summary>A head's rows of the tokens of a window.</summary>
internal readonly struct WindowPanel(WindowArgs args, ArrayView<WindowToken> tokens, WindowRows rows) : IWarpPanel
{
    private readonly ArrayView<WindowToken> _tokens = tokens;
    private readonly WindowRows _rows = rows;
    private readonly int _accumulate = args.Accumulate;

    public int Columns { get; } = args.Depth;

    public bool Has(int row) => _tokens[row].Place >= 0;

    public Float4 Read(int row, int column) => Ptx.LoadReadOnly4(ref _rows.X[At(row, column)]);

    public void Write(int row, int column, float x, float y) => WarpPanel.Write(_rows.X, At(row, column), _accumulate, x, y);

    private int At(int row, int column) => _rows.First + (_tokens[row].Place * _rows.Stride) + column;
}

/// <summary>What both kernels do with a head of a window, whose matrices lie one after another in shared memory.</summary>
internal readonly struct WindowWarp<TNumber>(
    WindowArgs args, int head, ArrayView<float> shared, ArrayView<WindowToken> tokens, ArrayView<float> table)
    where TNumber : struct, IAttentionNumber
{
    /// <summary>Numbers of a head in the table of the largest window.</summary>
    public const int TableLength = 15 * 15;

    private readonly WindowArgs _args = args;
    private readonly int _head = head;
    private readonly WarpFactors<TNumber> _factors = new(shared);
    private readonly ArrayView<WindowToken> _tokens = tokens;
    private readonly ArrayView<float> _table = table;

    /// <summary>Words of some matrices.</summary>
    public static int Places(int matrices) => matrices * Rows * WarpFactors<TNumber>.Pitch;

    /// <summary>Copies the head's numbers of the table.</summary>
    public void LoadTable()
    {
        int side = (2 * _args.Window) - 1;
        for (int row = Group.IdxX; row < side * side; row += Threads)
            _table[row] = _args.Table[(row * _args.Heads) + _head];
    }

    /// <summary>Copies a matrix of the window.</summary>
    public void Load(WindowRows rows, int matrix) => _factors.Load(new WindowPanel(_args, _tokens, rows), Places(matrix), Rows);

    /// <summary>The warp's rows of a matrix times 32 rows of another one, from one of them on.</summary>
    public WarpTile Dots(int left, int right, int first) => _factors.Dots(
        Places(left) + WarpFactors<TNumber>.LeftAt,
        Places(right) + (first * WarpFactors<TNumber>.Pitch) + WarpFactors<TNumber>.AlongAt,
        _args.Depth);

    /// <summary>The warp's rows of a matrix times all rows of another one.</summary>
    public WarpScorePair Dots(int left, int right) => new() { First = Dots(left, right, 0), Second = Dots(left, right, Columns) };

    /// <summary>sums + a tile times 32 rows of a matrix, from one of them on.</summary>
    public WarpRows Multiply(WarpTile tile, int matrix, int first, WarpRows sums) => _factors.Multiply(
        tile, Places(matrix) + (first * WarpFactors<TNumber>.Pitch) + WarpFactors<TNumber>.AcrossAt, _args.Depth, sums);

    /// <summary>Scores, or what has become of them, times a matrix.</summary>
    public WarpRows Multiply(WarpScorePair scores, int matrix) =>
        Multiply(scores.Second, matrix, Columns, Multiply(scores.First, matrix, 0, default));

    /// <summary>The gradient of queries, keys or values: some sums times a factor.</summary>
    public void Give(WarpRows sums, int matrix, float factor) =>
        (sums * factor).Store(new WindowPanel(_args, _tokens, _args.RowsOfDQkv(matrix, _head)));

    /// <summary>The exponentials of the warp's queries' scores less the largest one, which is given too, and one divided by their sum.</summary>
    public WarpScorePair Probabilities(out Float2 max, out Float2 factor)
    {
        var s = Dots(WindowMatrix.Queries, WindowMatrix.Keys);
        int row = Row;
        WindowToken query = _tokens[row], below = _tokens[row + 8];
        s.First = ScoresOfQueries(s.First, query, below, 0);
        s.Second = ScoresOfQueries(s.Second, query, below, Columns);
        Float2 one = s.First.Fold<Op.LargerOf>(), two = s.Second.Fold<Op.LargerOf>();
        max = FoldLanes<Op.LargerOf>(new(Ptx.Max(one.X, two.X), Ptx.Max(one.Y, two.Y)));
        s.First = WarpScores.Exp(s.First, max);
        s.Second = WarpScores.Exp(s.Second, max);
        var sum = FoldLanes<SumOf>(s.First.Fold<SumOf>() + s.Second.Fold<SumOf>());
        factor = new(1 / sum.X, 1 / sum.Y);
        return s;
    }

    /// <summary>Scores of the warp's keys down and 32 queries across; those of tokens that there are not have no meaning.</summary>
    public WarpTile ScoresOfKeys(WarpTile dots, int query)
    {
        int row = Row;
        WindowToken key = _tokens[row], below = _tokens[row + 8];
        query += Column;
        return new()
        {
            A = OfKeys(dots.A, key, below, query),
            B = OfKeys(dots.B, key, below, query + 8),
            C = OfKeys(dots.C, key, below, query + 16),
            D = OfKeys(dots.D, key, below, query + 24),
        };
    }

    private WarpTile ScoresOfQueries(WarpTile dots, WindowToken query, WindowToken below, int key)
    {
        key += Column;
        return new()
        {
            A = OfQueries(dots.A, query, below, key),
            B = OfQueries(dots.B, query, below, key + 8),
            C = OfQueries(dots.C, query, below, key + 16),
            D = OfQueries(dots.D, query, below, key + 24),
        };
    }

    private Float4 OfQueries(Float4 dots, WindowToken query, WindowToken below, int key)
    {
        WindowToken first = _tokens[key], next = _tokens[key + 1];
        return new(Score(dots.X, query, first), Score(dots.Y, query, next), Score(dots.Z, below, first), Score(dots.W, below, next));
    }

    private Float4 OfKeys(Float4 dots, WindowToken key, WindowToken below, int query)
    {
        WindowToken first = _tokens[query], next = _tokens[query + 1];
        return new(Score(dots.X, first, key), Score(dots.Y, next, key), Score(dots.Z, first, below), Score(dots.W, next, below));
    }

    private float Score(float dot, WindowToken query, WindowToken key)
    {
        if (key.Place < 0)
            return float.NegativeInfinity;
        int middle = 2 * _args.Window * (_args.Window - 1);
        float score = Ptx.Fma(dot, _args.Scale, _table[middle + query.Code - key.Code]);
        return query.Part == key.Part ? score : score + WindowLayout.AcrossSeam;
    }
}
