using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A group has all scores of one head in a window in its registers: it reads the window's rows where they lie in the map and
/// writes their results there. Nothing is saved but the inputs, as the backward pass has the same scores for two products.
/// </summary>
internal sealed class WindowAttentionGpu
{
    private readonly GpuDevice _device;
    private readonly WindowArgs _args;
    private readonly int _perPiece;

    /// <param name="layout">The windows.</param>
    /// <param name="qkv">The product, contiguous.</param>
    /// <param name="table">The table, contiguous.</param>
    /// <param name="heads">The number of heads.</param>
    /// <param name="enoughGroups">
    /// The most groups that sum up the table's gradient, each of some windows: these fill any device.
    /// </param>
    public WindowAttentionGpu(WindowLayout layout, Tensor qkv, Tensor table, int heads, int enoughGroups = 1024)
    {
        _device = (GpuDevice)qkv.Device;
        int depth = qkv.Shape[3] / (3 * heads);
        _args = new()
        {
            Qkv = GpuDevice.View<float>(qkv),
            Table = GpuDevice.View<float>(table),
            Scale = (float)(1 / Math.Sqrt(depth)),
            Height = qkv.Shape[1],
            Width = qkv.Shape[2],
            Window = layout.Window,
            Down = layout.Down,
            Right = layout.Right,
            Heads = heads,
            Depth = depth,
            Windows = checked(qkv.Shape[0] * layout.Windows),
        };
        _perPiece = Math.Max(1, _args.Windows / Math.Max(1, enoughGroups / heads));
    }

    /// <summary>Into how many sums the gradient of the table falls.</summary>
    public int Pieces => Groups(_perPiece);

    /// <summary>Whether a window's scores fit into a group's registers.</summary>
    public static bool Takes(int window) => window * window <= Tile16.Side;

    /// <summary>Writes the result, contiguous.</summary>
    public void Forward(Tensor y)
    {
        var args = _args with { Y = GpuDevice.View<float>(y), PerGroup = 1 };
        if (args.Window * args.Window <= Tile8.Side)
            Launch<WindowForward<Tile8>>(args, Tile8.Threads);
        else
            Launch<WindowForward<Tile16>>(args, Tile16.Threads);
    }

    /// <summary>Adds up the gradients that have a target.</summary>
    /// <param name="dy">Contiguous.</param>
    /// <param name="dQkv">Of the product's shape, or null.</param>
    /// <param name="dTable">[<see cref="Pieces"/>, rows of the table, heads], or null.</param>
    public void Backward(Tensor dy, GradTarget? dQkv, Tensor? dTable)
    {
        var args = _args with { Y = GpuDevice.View<float>(dy), PerGroup = 1 };
        if (dQkv is { } target)
            (args.DQkv, args.HasDQkv, args.Accumulate) = (GpuDevice.View<float>(target.Tensor), 1, target.Accumulate ? 1 : 0);
        if (dTable is not null)
            (args.DTable, args.HasDTable, args.PerGroup) = (GpuDevice.View<float>(dTable), 1, _perPiece);

        if (args.Window * args.Window <= Tile8.Side)
            Launch<WindowBackward<Tile8>>(args, Tile8.Threads);
        else
            Launch<WindowBackward<Tile16>>(args, Tile16.Threads);
    }

    private int Groups(int perGroup) => (_args.Windows + perGroup - 1) / perGroup;

    private void Launch<TKernel>(WindowArgs args, int threads)
        where TKernel : struct, IKernel<WindowArgs>
    {
        if (args.Windows > 0)
            _device.Launcher.Launch<TKernel, WindowArgs>((long)Groups(args.PerGroup) * args.Heads, threads, args);
    }
}

/// <summary>The arguments of both kernels; the backward one has dy for y.</summary>
internal struct WindowArgs
{
    public ArrayView<float> Qkv, Table, Y, DQkv, DTable;
    public float Scale;
    public int Height, Width, Window, Down, Right, Heads, Depth, HasDQkv, Accumulate, HasDTable;

    /// <summary>Windows of all maps, and how many of them a group goes over.</summary>
    public int Windows, PerGroup;
}

/// <summary>A group for a head of a window.</summary>
internal readonly struct WindowForward<TTile> : IKernel<WindowArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(WindowArgs args)
    {
        int window = Grid.IdxX / args.Heads, head = Grid.IdxX - (window * args.Heads);
        var tokens = SharedMemory.Allocate<WindowToken>(TTile.Side);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        var values = SharedMemory.Allocate<float>(AttentionTile<TTile>.TileLength);
        WindowTile<TTile>.Find(args, window, tokens);
        var p = WindowTile<TTile>.Probabilities(args, head, tokens, slices);
        AttentionTile<TTile>.Store(p, slices);
        for (int column = 0; column < args.Depth; column += TTile.Side)
        {
            AttentionTile<TTile>.Load(new WindowPanel(args.Qkv, tokens, args, 3, 2, head), column, values);
            var y = AttentionTile<TTile>.Multiply(slices, values, default);
            AttentionTile<TTile>.Store(y, new WindowPanel(args.Y, tokens, args, 1, 0, head), column, 1);
        }
    }
}

/// <summary>
/// A group for a head of some windows, one after the other. The gradients of their scores add up in registers and, at the end,
/// along the pairs of tokens that have a row of the table in common.
/// </summary>
internal readonly struct WindowBackward<TTile> : IKernel<WindowArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(WindowArgs args)
    {
        int piece = Grid.IdxX / args.Heads, head = Grid.IdxX - (piece * args.Heads);
        var tokens = SharedMemory.Allocate<WindowToken>(TTile.Side);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        var rows = SharedMemory.Allocate<float>(AttentionTile<TTile>.TileLength);
        int first = piece * args.PerGroup, end = IntrinsicMath.Min(first + args.PerGroup, args.Windows);
        var sum = default(TileRows);
        for (int window = first; window < end; window++)
        {
            WindowTile<TTile>.Find(args, window, tokens);
            var p = WindowTile<TTile>.Probabilities(args, head, tokens, slices);
            var dy = new WindowPanel(args.Y, tokens, args, 1, 0, head);
            var ds = AttentionTile<TTile>.Dots(dy, new WindowPanel(args.Qkv, tokens, args, 3, 2, head), slices);
            var mean = AttentionTile<TTile>.FoldRows<SumOf>(p * ds);
            ds = AttentionMath.Slope(p, ds, new(mean.X), new(mean.Y), new(mean.Z), new(mean.W));
            sum += ds;
            if (args.HasDQkv == 0)
                continue;
            AttentionTile<TTile>.StoreTransposed(p, slices);
            WindowTile<TTile>.Give(args, head, tokens, slices, dy, 2, 1, rows);
            AttentionTile<TTile>.Store(ds, slices);
            WindowTile<TTile>.Give(args, head, tokens, slices, new(args.Qkv, tokens, args, 3, 1, head), 0, args.Scale, rows);
            AttentionTile<TTile>.StoreTransposed(ds, slices);
            WindowTile<TTile>.Give(args, head, tokens, slices, new(args.Qkv, tokens, args, 3, 0, head), 1, args.Scale, rows);
        }

        if (args.HasDTable != 0)
            Collect(args, piece, head, sum, slices);
    }

    private static void Collect(WindowArgs args, int piece, int head, TileRows sum, ArrayView<float> scores)
    {
        AttentionTile<TTile>.Store(sum, scores);
        Group.Barrier();
        int side = (2 * args.Window) - 1;
        for (int row = Group.IdxX; row < side * side; row += TTile.Threads)
        {
            // The query's place minus the key's, and the keys for which there is such a query.
            int down = (row / side) - args.Window + 1, right = (row % side) - args.Window + 1;
            int top = IntrinsicMath.Max(0, -down), bottom = IntrinsicMath.Min(args.Window, args.Window - down);
            int left = IntrinsicMath.Max(0, -right), edge = IntrinsicMath.Min(args.Window, args.Window - right);
            float total = 0;
            for (int i = top; i < bottom; i++)
            {
                for (int j = left; j < edge; j++)
                {
                    int key = (i * args.Window) + j, query = key + (down * args.Window) + right;
                    total += scores[(query * AttentionTile<TTile>.Pitch) + key];
                }
            }

            args.DTable[(((piece * side * side) + row) * args.Heads) + head] = total;
        }
    }
}

/// <summary>A token of a window.</summary>
internal struct WindowToken
{
    /// <summary>Its place among those of all maps; -1 for a row of the tile that is none.</summary>
    public int Place;

    /// <summary>What it counts in the numbers of the table's rows: (query's - key's) + the middle row.</summary>
    public int Code;

    /// <summary>Tokens of different parts were not neighbours before the map was rolled.</summary>
    public int Part;
}

/// <summary>The rows of one part of a head in a map whose places have some parts of heads x depth numbers each.</summary>
internal struct WindowPanel(ArrayView<float> x, ArrayView<WindowToken> tokens, WindowArgs args, int parts, int part, int head)
    : IPanel
{
    private readonly ArrayView<float> _x = x;
    private readonly ArrayView<WindowToken> _tokens = tokens;
    private readonly int _stride = parts * args.Heads * args.Depth;
    private readonly int _first = ((part * args.Heads) + head) * args.Depth;
    private readonly int _accumulate = args.Accumulate;

    public int Columns { get; } = args.Depth;

    public readonly bool Has(int row) => _tokens[row].Place >= 0;

    public readonly float Read(int row, int column) => _x[Place(row, column)];

    public readonly void Write(int row, int column, float value)
    {
        int place = Place(row, column);
        if (_accumulate != 0)
            value += _x[place];
        _x[place] = value;
    }

    private readonly int Place(int row, int column) => _first + (_tokens[row].Place * _stride) + column;
}

/// <summary>What both kernels do with the tile of a window.</summary>
internal static class WindowTile<TTile>
    where TTile : struct, IAttentionTile
{
    /// <summary>Finds a window's tokens; all threads have read those of the window before.</summary>
    public static void Find(WindowArgs args, int window, ArrayView<WindowToken> tokens)
    {
        Group.Barrier();
        int token = Group.IdxX;
        if (token < TTile.Side)
        {
            int across = args.Width / args.Window, windows = args.Height / args.Window * across;
            int image = window / windows, tile = window - (image * windows);
            int down = token / args.Window, right = token - (down * args.Window);
            // In the rolled map; no row of the tile beyond the last token is in it.
            int row = (tile / across * args.Window) + down, column = (tile % across * args.Window) + right;
            int part = (3 * Part(row, args.Height, args.Window, args.Down)) + Part(column, args.Width, args.Window, args.Right);
            row = Unrolled(row + args.Down, args.Height);
            column = Unrolled(column + args.Right, args.Width);
            bool inside = token < args.Window * args.Window;
            tokens[token] = new()
            {
                Place = inside ? (((image * args.Height) + row) * args.Width) + column : -1,
                Code = inside ? (down * ((2 * args.Window) - 1)) + right : 0,
                Part = part,
            };
        }

        Group.Barrier();
    }

    /// <summary>The softmax of a window's scores; rows that are no tokens have numbers of no meaning.</summary>
    public static TileRows Probabilities(WindowArgs args, int head, ArrayView<WindowToken> tokens, ArrayView<float> slices)
    {
        var p = AttentionTile<TTile>.Dots(
            new WindowPanel(args.Qkv, tokens, args, 3, 0, head), new WindowPanel(args.Qkv, tokens, args, 3, 1, head), slices);
        int lanes = AttentionTile<TTile>.Lanes, row = AttentionTile<TTile>.Row, column = AttentionTile<TTile>.Column;
        WindowToken x = tokens[column], y = tokens[column + lanes], z = tokens[column + (2 * lanes)], w = tokens[column + (3 * lanes)];
        p.A = Scores(args, head, p.A, tokens[row], x, y, z, w);
        p.B = Scores(args, head, p.B, tokens[row + lanes], x, y, z, w);
        p.C = Scores(args, head, p.C, tokens[row + (2 * lanes)], x, y, z, w);
        p.D = Scores(args, head, p.D, tokens[row + (3 * lanes)], x, y, z, w);
        p = AttentionMath.Exp(p, AttentionTile<TTile>.FoldRows<Op.LargerOf>(p));
        var sum = AttentionTile<TTile>.FoldRows<SumOf>(p);
        return p * new Float4(1 / sum.X, 1 / sum.Y, 1 / sum.Z, 1 / sum.W);
    }

    /// <summary>Writes the gradient of a part of the product: the tile in shared memory times the rows of a panel.</summary>
    public static void Give(
        WindowArgs args, int head, ArrayView<WindowToken> tokens, ArrayView<float> tile, WindowPanel panel, int part, float factor, ArrayView<float> rows)
    {
        for (int column = 0; column < args.Depth; column += TTile.Side)
        {
            AttentionTile<TTile>.Load(panel, column, rows);
            var gradient = AttentionTile<TTile>.Multiply(tile, rows, default);
            AttentionTile<TTile>.Store(gradient, new WindowPanel(args.DQkv, tokens, args, 3, part, head), column, factor);
        }
    }

    private static Float4 Scores(
        WindowArgs args, int head, Float4 dots, WindowToken query, WindowToken x, WindowToken y, WindowToken z, WindowToken w) =>
        new(Score(args, head, dots.X, query, x), Score(args, head, dots.Y, query, y), Score(args, head, dots.Z, query, z), Score(args, head, dots.W, query, w));

    private static float Score(WindowArgs args, int head, float dot, WindowToken query, WindowToken key)
    {
        if (key.Place < 0)
            return float.NegativeInfinity;
        int middle = 2 * args.Window * (args.Window - 1);
        float score = (dot * args.Scale) + args.Table[((middle + query.Code - key.Code) * args.Heads) + head];
        return query.Part == key.Part ? score : score + ScoreTerms.AcrossSeam;
    }

    private static int Part(int at, int size, int window, int shift) =>
        shift == 0 || at < size - window ? 0 : at < size - shift ? 1 : 2;

    private static int Unrolled(int at, int size) => at >= size ? at - size : at;
}
