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
            HasVectors = depth % 4 == 0 && StartsVector(qkv) ? 1 : 0,
        };
        _perPiece = Math.Max(1, _args.Windows / Math.Max(1, enoughGroups / heads));
    }

    /// <summary>Into how many sums the gradient of the table falls.</summary>
    public int Pieces => Groups(_perPiece);

    /// <summary>Whether a window's scores fit into a group's registers.</summary>
    public static bool Takes(int window) => window * window <= Tile16.Side;

    /// <summary>Writes the result, contiguous.</summary>
    public void Forward(Tensor y) => Launch<
        TensorWindowForward<AttentionBf16>, TensorWindowForward<AttentionTf32>, WindowForward<Tile8>, WindowForward<Tile16>>(Arguments(y));

    /// <summary>Adds up the gradients that have a target.</summary>
    /// <param name="dy">Contiguous.</param>
    /// <param name="dQkv">Of the product's shape, or null.</param>
    /// <param name="dTable">[<see cref="Pieces"/>, rows of the table, heads], or null.</param>
    public void Backward(Tensor dy, GradTarget? dQkv, Tensor? dTable)
    {
        var args = Arguments(dy);
        if (dQkv is { } target)
        {
            (args.DQkv, args.HasDQkv, args.Accumulate) = (GpuDevice.View<float>(target.Tensor), 1, target.Accumulate ? 1 : 0);
            args.HasVectors &= StartsVector(target.Tensor) ? 1 : 0;
        }

        if (dTable is not null)
            (args.DTable, args.HasDTable, args.PerGroup) = (GpuDevice.View<float>(dTable), 1, _perPiece);

        Launch<
            TensorWindowBackward<AttentionBf16>, TensorWindowBackward<AttentionTf32>, WindowBackward<Tile8>, WindowBackward<Tile16>>(args);
    }

    private WindowArgs Arguments(Tensor y) => _args with
    {
        Y = GpuDevice.View<float>(y),
        PerGroup = 1,
        HasVectors = _args.HasVectors != 0 && StartsVector(y) ? 1 : 0,
    };

    private static bool StartsVector(Tensor x) => x.Offset % 4 == 0;

    private int Groups(int perGroup) => (_args.Windows + perGroup - 1) / perGroup;

    /// <summary>
    /// Launches the kernel of the device's precision, if the heads are of whole vectors and not wider than the tensor cores' kernels take
    /// them; otherwise that of the smallest tile.
    /// </summary>
    private void Launch<TMedium, THigh, TSmall, TLarge>(WindowArgs args)
        where TMedium : struct, IKernel<WindowArgs>
        where THigh : struct, IKernel<WindowArgs>
        where TSmall : struct, IKernel<WindowArgs>
        where TLarge : struct, IKernel<WindowArgs>
    {
        var precision = args.HasVectors != 0 && args.Depth <= AttentionWarp.Widest ? _device.MatmulPrecision : MatmulPrecision.Highest;
        if (precision == MatmulPrecision.Medium)
            Launch<TMedium>(args);
        else if (precision == MatmulPrecision.High)
            Launch<THigh>(args);
        else if (args.Window * args.Window <= Tile8.Side)
            Launch<TSmall>(args);
        else
            Launch<TLarge>(args);
    }

    private void Launch<TKernel>(WindowArgs args)
        where TKernel : struct, IKernel<WindowArgs>
    {
        if (args.Windows > 0)
            _device.Launcher.Launch<TKernel, WindowArgs>((long)Groups(args.PerGroup) * args.Heads, TKernel.MaxGroupSize, args);
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

    /// <summary>Whether the rows of all heads can be read and written as vectors.</summary>
    public int HasVectors;

    /// <summary>A head's queries, keys or values.</summary>
    public readonly WindowRows RowsOfQkv(int matrix, int head) => new(Qkv, this, 3, matrix, head);

    /// <summary>Their gradients.</summary>
    public readonly WindowRows RowsOfDQkv(int matrix, int head) => new(DQkv, this, 3, matrix, head);

    /// <summary>A head's results, or the gradients of them.</summary>
    public readonly WindowRows RowsOfY(int head) => new(Y, this, 1, 0, head);
}

/// <summary>The matrices of a head of a window, as they lie in the product and, on the tensor cores, in shared memory.</summary>
internal static class WindowMatrix
{
    public const int Queries = 0, Keys = 1, Values = 2, Gradients = 3;
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
        var strip = SharedMemory.Allocate<float>(WindowTile<TTile>.StripLength);
        var tile = new WindowTile<TTile>(args, head, tokens, slices, strip);
        tile.Find(window);
        AttentionTile<TTile>.Store(tile.Probabilities(), slices);
        tile.Multiply(args.RowsOfQkv(WindowMatrix.Values, head), args.RowsOfY(head), 1);
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
        var strip = SharedMemory.Allocate<float>(WindowTile<TTile>.StripLength);
        var tile = new WindowTile<TTile>(args, head, tokens, slices, strip);
        WindowRows q = args.RowsOfQkv(WindowMatrix.Queries, head), k = args.RowsOfQkv(WindowMatrix.Keys, head);
        WindowRows v = args.RowsOfQkv(WindowMatrix.Values, head), dy = args.RowsOfY(head);
        int first = piece * args.PerGroup, end = IntrinsicMath.Min(first + args.PerGroup, args.Windows);
        var sum = default(TileRows);
        for (int window = first; window < end; window++)
        {
            tile.Find(window);
            var p = tile.Probabilities();
            var ds = tile.Dots(dy, v);
            var mean = AttentionTile<TTile>.FoldRows<SumOf>(p * ds);
            ds = AttentionMath.Slope(p, ds, new(mean.X), new(mean.Y), new(mean.Z), new(mean.W));
            sum += ds;
            if (args.HasDQkv == 0)
                continue;
            AttentionTile<TTile>.StoreTransposed(p, slices);
            tile.Multiply(dy, args.RowsOfDQkv(WindowMatrix.Values, head), 1);
            AttentionTile<TTile>.Store(ds, slices);
            tile.Multiply(k, args.RowsOfDQkv(WindowMatrix.Queries, head), args.Scale);
            AttentionTile<TTile>.StoreTransposed(ds, slices);
            tile.Multiply(q, args.RowsOfDQkv(WindowMatrix.Keys, head), args.Scale);
        }

        if (args.HasDTable != 0)
        {
            AttentionTile<TTile>.Store(sum, slices);
            WindowTile<TTile>.Collect(args, piece, head, slices);
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
internal struct WindowRows(ArrayView<float> x, WindowArgs args, int parts, int part, int head)
{
    public ArrayView<float> X = x;

    /// <summary>Where the first place's row starts, and how far the next place's is.</summary>
    public int First = ((part * args.Heads) + head) * args.Depth, Stride = parts * args.Heads * args.Depth;
}
