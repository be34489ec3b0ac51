using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>As <see cref="WindowForward{TTile}"/> on the tensor cores: each of four warps has 16 queries.</summary>
internal readonly struct TensorWindowForward<TNumber> : IKernel<WindowArgs>
    where TNumber : struct, IAttentionNumber
{
    public static int MaxGroupSize => AttentionWarp<TNumber>.Threads;

    public static int SharedBytes => WindowWarp<TNumber>.Places(3) * sizeof(float);

    public static void Run(WindowArgs args)
    {
        int window = Grid.IdxX / args.Heads, head = Grid.IdxX - (window * args.Heads);
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var tokens = SharedMemory.Allocate<WindowToken>(AttentionWarp<TNumber>.Rows);
        var table = SharedMemory.Allocate<float>(WindowWarp<TNumber>.TableLength);
        WindowWarp<TNumber>.LoadTable(args, head, table);
        WindowTile<Tile16>.Find(args, window, tokens);
        WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 0, head), shared, 0);
        WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 1, head), shared, 1);
        WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 2, head), shared, 2);
        Group.Barrier();
        // Warps without queries go along: a window of 7 has some for each.
        var p = WindowWarp<TNumber>.Probabilities(args, tokens, table, shared, out _, out var factor);
        var y = WindowWarp<TNumber>.Multiply(args, p, shared, 2);
        AttentionWarp<TNumber>.Store(y * factor, new WindowPanel(args, tokens, new(args.Y, args, 1, 0, head)));
    }
}

/// <summary>
/// As <see cref="WindowBackward{TTile}"/> on the tensor cores. The scores are computed twice: with queries down for their gradients,
/// and with keys down for those of keys and values.
/// </summary>
internal readonly struct TensorWindowBackward<TNumber> : IKernel<WindowArgs>
    where TNumber : struct, IAttentionNumber
{
    // What is in shared memory, and how it is numbered there.
    private const int Queries = 0, Keys = 1, Values = 2, Gradients = 3;

    public static int MaxGroupSize => AttentionWarp<TNumber>.Threads;

    public static int SharedBytes => WindowWarp<TNumber>.Places(4) * sizeof(float);

    public static void Run(WindowArgs args)
    {
        int piece = Grid.IdxX / args.Heads, head = Grid.IdxX - (piece * args.Heads);
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        var tokens = SharedMemory.Allocate<WindowToken>(AttentionWarp<TNumber>.Rows);
        var table = SharedMemory.Allocate<float>(WindowWarp<TNumber>.TableLength);
        // Of 32 queries, and of 32 more: shifts, factors and means.
        var numbers = SharedMemory.Allocate<Float2>(3 * AttentionWarp<TNumber>.Rows / 2).Cast<float>();
        WindowWarp<TNumber>.LoadTable(args, head, table);
        int first = piece * args.PerGroup, end = IntrinsicMath.Min(first + args.PerGroup, args.Windows);
        int row = AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2), count = args.Window * args.Window;
        WarpScorePair sum = default;
        for (int window = first; window < end; window++)
        {
            WindowTile<Tile16>.Find(args, window, tokens);
            WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 0, head), shared, Queries);
            WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 1, head), shared, Keys);
            WindowWarp<TNumber>.Load(args, tokens, new(args.Qkv, args, 3, 2, head), shared, Values);
            WindowWarp<TNumber>.Load(args, tokens, new(args.Y, args, 1, 0, head), shared, Gradients);
            Group.Barrier();
            // Warps without tokens go along: a window of 7 has some for each.
            var p = WindowWarp<TNumber>.Probabilities(args, tokens, table, shared, out var max, out var factor);
            p = new() { First = p.First * factor, Second = p.Second * factor };
            var dp = WindowWarp<TNumber>.Dots(args, shared, Gradients, Values);
            var mean = AttentionWarp<TNumber>.FoldLanes<SumOf>(Plus(Dot(p.First, dp.First), Dot(p.Second, dp.Second)));
            var ds = new WarpScorePair
            {
                First = WarpScores<TNumber>.Slope(p.First, dp.First, mean),
                Second = WarpScores<TNumber>.Slope(p.Second, dp.Second, mean),
            };
            sum = new() { First = sum.First + ds.First, Second = sum.Second + ds.Second };
            if (args.HasDQkv == 0)
                continue;
            Give(args, tokens, WindowWarp<TNumber>.Multiply(args, ds, shared, Keys), 0, head, args.Scale);
            if ((AttentionWarp<TNumber>.Lane & 3) == 0)
            {
                // Rows that are no queries have probabilities of 0.
                Save(numbers, row, count, max.X, factor.X, mean.X);
                Save(numbers, row + 8, count, max.Y, factor.Y, mean.Y);
            }

            Group.Barrier();
            GiveKeys(args, tokens, table, shared, numbers, head);
        }

        if (args.HasDTable == 0)
            return;
        Group.Barrier();
        Store(sum.First, shared, 0);
        Store(sum.Second, shared, AttentionWarp<TNumber>.Columns);
        WindowTile<Tile16>.Collect(args, piece, head, shared);
    }

    /// <summary>The gradients of the warp's keys and values.</summary>
    private static void GiveKeys(
        WindowArgs args, ArrayView<WindowToken> tokens, ArrayView<float> table, ArrayView<float> shared, ArrayView<float> numbers, int head)
    {
        WarpRows dk = default, dv = default;
        for (int query = 0; query < args.Window * args.Window; query += AttentionWarp<TNumber>.Columns)
        {
            var p = WindowWarp<TNumber>.Dots(args, shared, Keys, Queries, query);
            p = WindowWarp<TNumber>.ScoresOfKeys(args, tokens, table, p, query);
            ref float own = ref numbers[(3 * query) + (2 * (AttentionWarp<TNumber>.Lane & 3))];
            p = WarpScores<TNumber>.ExpOfColumns(p, ref own);
            dv = WindowWarp<TNumber>.Multiply(args, p, shared, Gradients, query, dv);
            var dp = WindowWarp<TNumber>.Dots(args, shared, Values, Gradients, query);
            dk = WindowWarp<TNumber>.Multiply(args, WarpScores<TNumber>.SlopeOfColumns(p, dp, ref own), shared, Queries, query, dk);
        }

        Give(args, tokens, dk, 1, head, args.Scale);
        Give(args, tokens, dv, 2, head, 1);
    }

    private static void Give(WindowArgs args, ArrayView<WindowToken> tokens, WarpRows sums, int part, int head, float factor) =>
        AttentionWarp<TNumber>.Store(
            sums * new Float2 { X = factor, Y = factor }, new WindowPanel(args, tokens, new(args.DQkv, args, 3, part, head)));

    private static void Save(ArrayView<float> numbers, int row, int count, float max, float factor, float mean)
    {
        const int Columns = AttentionWarp<TNumber>.Columns;
        int at = (row / Columns * 3 * Columns) + (row % Columns);
        numbers[at] = row < count ? max : 0;
        numbers[at + Columns] = row < count ? factor : 0;
        numbers[at + (2 * Columns)] = row < count ? mean : 0;
    }

    private static Float2 Plus(Float2 x, Float2 y) => new() { X = x.X + y.X, Y = x.Y + y.Y };

    private static Float2 Dot(WarpTile x, WarpTile y) => AttentionWarp<TNumber>.FoldTile<SumOf>(
        new() { A = x.A * y.A, B = x.B * y.B, C = x.C * y.C, D = x.D * y.D });

    private static void Store(WarpTile tile, ArrayView<float> scores, int column)
    {
        int pitch = AttentionTile<Tile16>.Pitch, lane = AttentionWarp<TNumber>.Lane;
        int at = ((AttentionWarp<TNumber>.Strip + (lane >> 2)) * pitch) + column + (2 * (lane & 3));
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

/// <summary>What both kernels do with a window, whose matrices lie one after another in shared memory.</summary>
internal static class WindowWarp<TNumber>
    where TNumber : struct, IAttentionNumber
{
    /// <summary>Numbers of a head in the table of the largest window.</summary>
    public const int TableLength = 15 * 15;

    /// <summary>Words of some matrices.</summary>
    public static int Places(int matrices) => matrices * AttentionWarp<TNumber>.Rows * AttentionWarp<TNumber>.Pitch;

    /// <summary>Copies a head's numbers of the table.</summary>
    public static void LoadTable(WindowArgs args, int head, ArrayView<float> table)
    {
        int side = (2 * args.Window) - 1;
        for (int row = Group.IdxX; row < side * side; row += AttentionWarp<TNumber>.Threads)
            table[row] = args.Table[(row * args.Heads) + head];
    }

    /// <summary>Copies a matrix of the window.</summary>
    public static void Load(WindowArgs args, ArrayView<WindowToken> tokens, WindowRows rows, ArrayView<float> shared, int matrix) =>
        AttentionWarp<TNumber>.Load(new WindowPanel(args, tokens, rows), shared, Places(matrix), AttentionWarp<TNumber>.Rows);

    /// <summary>The warp's rows of a matrix times 32 rows of another one, from one of them on.</summary>
    public static WarpTile Dots(WindowArgs args, ArrayView<float> shared, int left, int right, int first) => AttentionWarp<TNumber>.Dots(
        shared,
        Places(left) + AttentionWarp<TNumber>.LeftAt,
        Places(right) + (first * AttentionWarp<TNumber>.Pitch) + AttentionWarp<TNumber>.AlongAt,
        args.Depth);

    /// <summary>The warp's rows of a matrix times all rows of another one.</summary>
    public static WarpScorePair Dots(WindowArgs args, ArrayView<float> shared, int left, int right) => new()
    {
        First = Dots(args, shared, left, right, 0),
        Second = Dots(args, shared, left, right, AttentionWarp<TNumber>.Columns),
    };

    /// <summary>sums + a tile times 32 rows of a matrix, from one of them on.</summary>
    public static WarpRows Multiply(WindowArgs args, WarpTile tile, ArrayView<float> shared, int matrix, int first, WarpRows sums) =>
        AttentionWarp<TNumber>.Multiply(
            tile, shared, Places(matrix) + (first * AttentionWarp<TNumber>.Pitch) + AttentionWarp<TNumber>.AcrossAt, args.Depth, sums);

    /// <summary>Scores, or what has become of them, times a matrix.</summary>
    public static WarpRows Multiply(WindowArgs args, WarpScorePair scores, ArrayView<float> shared, int matrix) => Multiply(
        args, scores.Second, shared, matrix, AttentionWarp<TNumber>.Columns, Multiply(args, scores.First, shared, matrix, 0, default));

    /// <summary>The exponentials of the warp's queries' scores less the largest one, which is given too, and one divided by their sum.</summary>
    public static WarpScorePair Probabilities(
        WindowArgs args, ArrayView<WindowToken> tokens, ArrayView<float> table, ArrayView<float> shared, out Float2 max, out Float2 factor)
    {
        var s = Dots(args, shared, 0, 1);
        int row = AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2);
        WindowToken query = tokens[row], below = tokens[row + 8];
        s.First = ScoresOfQueries(args, tokens, table, s.First, query, below, 0);
        s.Second = ScoresOfQueries(args, tokens, table, s.Second, query, below, AttentionWarp<TNumber>.Columns);
        Float2 one = AttentionWarp<TNumber>.FoldTile<Op.LargerOf>(s.First), two = AttentionWarp<TNumber>.FoldTile<Op.LargerOf>(s.Second);
        max = AttentionWarp<TNumber>.FoldLanes<Op.LargerOf>(new() { X = Ptx.Max(one.X, two.X), Y = Ptx.Max(one.Y, two.Y) });
        s.First = WarpScores<TNumber>.Exp(s.First, max);
        s.Second = WarpScores<TNumber>.Exp(s.Second, max);
        (one, two) = (AttentionWarp<TNumber>.FoldTile<SumOf>(s.First), AttentionWarp<TNumber>.FoldTile<SumOf>(s.Second));
        var sum = AttentionWarp<TNumber>.FoldLanes<SumOf>(new() { X = one.X + two.X, Y = one.Y + two.Y });
        factor = new() { X = 1 / sum.X, Y = 1 / sum.Y };
        return s;
    }

    /// <summary>Scores of the warp's keys down and 32 queries across; those of tokens that there are not have no meaning.</summary>
    public static WarpTile ScoresOfKeys(WindowArgs args, ArrayView<WindowToken> tokens, ArrayView<float> table, WarpTile dots, int query)
    {
        int row = AttentionWarp<TNumber>.Strip + (AttentionWarp<TNumber>.Lane >> 2);
        WindowToken key = tokens[row], below = tokens[row + 8];
        query += 2 * (AttentionWarp<TNumber>.Lane & 3);
        return new()
        {
            A = OfKeys(args, table, dots.A, key, below, tokens[query], tokens[query + 1]),
            B = OfKeys(args, table, dots.B, key, below, tokens[query + 8], tokens[query + 9]),
            C = OfKeys(args, table, dots.C, key, below, tokens[query + 16], tokens[query + 17]),
            D = OfKeys(args, table, dots.D, key, below, tokens[query + 24], tokens[query + 25]),
        };
    }

    private static WarpTile ScoresOfQueries(
        WindowArgs args, ArrayView<WindowToken> tokens, ArrayView<float> table, WarpTile dots, WindowToken query, WindowToken below, int key)
    {
        key += 2 * (AttentionWarp<TNumber>.Lane & 3);
        return new()
        {
            A = OfQueries(args, table, dots.A, query, below, tokens[key], tokens[key + 1]),
            B = OfQueries(args, table, dots.B, query, below, tokens[key + 8], tokens[key + 9]),
            C = OfQueries(args, table, dots.C, query, below, tokens[key + 16], tokens[key + 17]),
            D = OfQueries(args, table, dots.D, query, below, tokens[key + 24], tokens[key + 25]),
        };
    }

    private static Float4 OfQueries(
        WindowArgs args, ArrayView<float> table, Float4 dots, WindowToken query, WindowToken below, WindowToken key, WindowToken next) => new(
            Score(args, table, dots.X, query, key),
            Score(args, table, dots.Y, query, next),
            Score(args, table, dots.Z, below, key),
            Score(args, table, dots.W, below, next));

    private static Float4 OfKeys(
        WindowArgs args, ArrayView<float> table, Float4 dots, WindowToken key, WindowToken below, WindowToken query, WindowToken next) => new(
            Score(args, table, dots.X, query, key),
            Score(args, table, dots.Y, next, key),
            Score(args, table, dots.Z, query, below),
            Score(args, table, dots.W, next, below));

    private static float Score(WindowArgs args, ArrayView<float> table, float dot, WindowToken query, WindowToken key)
    {
        if (key.Place < 0)
            return float.NegativeInfinity;
        int middle = 2 * args.Window * (args.Window - 1);
        float score = Ptx.Fma(dot, args.Scale, table[middle + query.Code - key.Code]);
        return query.Part == key.Part ? score : score + WindowLayout.AcrossSeam;
    }
}
