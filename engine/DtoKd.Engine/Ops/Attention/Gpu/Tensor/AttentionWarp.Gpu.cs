using ILGPU;
using static DtoKd.Engine.Gpu.AttentionWarp;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The threads of a group of attention's kernels on the tensor cores, after Dao, "FlashAttention-2" (2023): each warp has 16 rows,
/// whose sums stay in its registers from one product to the next.
/// </summary>
internal static class AttentionWarp
{
    public const int Threads = 128;

    /// <summary>Rows of a group, and columns that it works on at a time.</summary>
    public const int Rows = 64, Columns = 32;

    /// <summary>The most numbers in a row.</summary>
    public const int Widest = 64;

    public static int Lane => Group.IdxX & 31;

    /// <summary>The warp's first row.</summary>
    public static int FirstRow => Group.IdxX / 32 * 16;

    /// <summary>The lane's first row; the other one is 8 below.</summary>
    public static int Row => FirstRow + (Lane >> 2);

    /// <summary>The lane's first column of each 8; the other one is the next.</summary>
    public static int Column => 2 * (Lane & 3);

    /// <summary>The warp's first row among those of a matrix, the same number for all lanes: they go the same way by it.</summary>
    public static int FirstOfWarp(int first) => Warp.Shuffle(first + FirstRow, 0);

    /// <summary>The fold of each row, for all lanes that have a part of it.</summary>
    public static Float2 FoldLanes<TFold>(Float2 rows)
        where TFold : struct, IFold => new(FoldLanes<TFold>(rows.X), FoldLanes<TFold>(rows.Y));

    private static float FoldLanes<TFold>(float value)
        where TFold : struct, IFold
    {
        value = GroupFold.Both<TFold>(value, Warp.ShuffleXor(value, 1));
        return GroupFold.Both<TFold>(value, Warp.ShuffleXor(value, 2));
    }
}

/// <summary>
/// 16 rows and 32 columns of a warp: field i has columns 8 i .. 8 i + 7, of which a lane has 2 (lane % 4) and the next one, of rows
/// lane / 4 (X and Y) and 8 more (Z and W).
/// </summary>
internal struct WarpTile
{
    public Float4 A, B, C, D;

    public static WarpTile operator +(WarpTile x, WarpTile y) => new() { A = x.A + y.A, B = x.B + y.B, C = x.C + y.C, D = x.D + y.D };

    public static WarpTile operator *(WarpTile x, float y) => new() { A = x.A * y, B = x.B * y, C = x.C * y, D = x.D * y };

    public static WarpTile operator *(WarpTile x, WarpTile y) => new() { A = x.A * y.A, B = x.B * y.B, C = x.C * y.C, D = x.D * y.D };

    /// <summary>Each row times a number of its own.</summary>
    public static WarpTile operator *(WarpTile x, Float2 rows)
    {
        var factors = Spread(rows);
        return new() { A = x.A * factors, B = x.B * factors, C = x.C * factors, D = x.D * factors };
    }

    /// <summary>A number for each of the lane's rows, for each of its elements in a field.</summary>
    public static Float4 Spread(Float2 rows) => new(rows.X, rows.X, rows.Y, rows.Y);

    /// <summary>The fold of the lane's part of each row.</summary>
    public readonly Float2 Fold<TFold>()
        where TFold : struct, IFold => new()
        {
            X = GroupFold.Both<TFold>(
                GroupFold.Both<TFold>(GroupFold.Both<TFold>(A.X, A.Y), GroupFold.Both<TFold>(B.X, B.Y)),
                GroupFold.Both<TFold>(GroupFold.Both<TFold>(C.X, C.Y), GroupFold.Both<TFold>(D.X, D.Y))),
            Y = GroupFold.Both<TFold>(
                GroupFold.Both<TFold>(GroupFold.Both<TFold>(A.Z, A.W), GroupFold.Both<TFold>(B.Z, B.W)),
                GroupFold.Both<TFold>(GroupFold.Both<TFold>(C.Z, C.W), GroupFold.Both<TFold>(D.Z, D.W))),
        };

    /// <summary>sums + the products of 16 rows and 32 columns over 8 words.</summary>
    public readonly WarpTile Plus<TNumber>(Words4 left, Words4 x, Words4 y)
        where TNumber : struct, IAttentionNumber => new()
        {
            A = TNumber.MultiplyAdd(left, new(x.X, x.Y), A),
            B = TNumber.MultiplyAdd(left, new(x.Z, x.W), B),
            C = TNumber.MultiplyAdd(left, new(y.X, y.Y), C),
            D = TNumber.MultiplyAdd(left, new(y.Z, y.W), D),
        };

    /// <summary>Writes or adds the lane's part.</summary>
    public readonly void Store<TPanel>(TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        if (panel.Has(row))
        {
            StorePair(A.X, A.Y, panel, row, column);
            StorePair(B.X, B.Y, panel, row, column + 8);
            StorePair(C.X, C.Y, panel, row, column + 16);
            StorePair(D.X, D.Y, panel, row, column + 24);
        }

        if (panel.Has(row + 8))
        {
            StorePair(A.Z, A.W, panel, row + 8, column);
            StorePair(B.Z, B.W, panel, row + 8, column + 8);
            StorePair(C.Z, C.W, panel, row + 8, column + 16);
            StorePair(D.Z, D.W, panel, row + 8, column + 24);
        }
    }

    private static void StorePair<TPanel>(float x, float y, TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        if (column < panel.Columns)
            panel.Write(row, column, x, y);
    }
}

/// <summary>16 rows and 64 columns of a warp.</summary>
internal struct WarpRows
{
    public WarpTile Low, High;

    public static WarpRows operator *(WarpRows x, Float2 rows) => new() { Low = x.Low * rows, High = x.High * rows };

    public static WarpRows operator *(WarpRows x, float y) => x * new Float2(y, y);

    /// <summary>Writes or adds the warp's sums.</summary>
    public readonly void Store<TPanel>(TPanel panel)
        where TPanel : struct, IWarpPanel
    {
        int row = Row, column = Column;
        Low.Store(panel, row, column);
        if (panel.Columns > Widest / 2)
            High.Store(panel, row, column + (Widest / 2));
    }
}

/// <summary>
/// The factors of attention's products in shared memory: rows of up to 64 numbers, a vector apart. Eight rows' vectors, and two rows in
/// eight columns, are in different banks.
/// </summary>
internal readonly struct WarpFactors<TNumber>(ArrayView<float> shared)
    where TNumber : struct, IAttentionNumber
{
    private readonly ArrayView<float> _shared = shared;

    /// <summary>Words from one row to the next.</summary>
    public static int Pitch => (Widest / TNumber.PerWord) + 4;

    /// <summary>Where the lane's part of the warp's rows begins, as a left factor that is summed along rows.</summary>
    public static int LeftAt => ((FirstRow + (Lane & 15)) * Pitch) + (4 * (Lane >> 4));

    /// <summary>Where the lane's part of a right factor begins that is summed along rows.</summary>
    public static int AlongAt => (((Lane & 7) + (Lane >> 4 << 3)) * Pitch) + (4 * ((Lane >> 3) & 1));

    /// <summary>Where the lane's part of a right factor begins whose rows are summed.</summary>
    public static int AcrossAt => TNumber.AcrossAt(Lane, Pitch);

    /// <summary>The dot products of the warp's rows with 32 rows.</summary>
    public WarpTile Dots(int left, int right, int numbers)
    {
        var sums = default(WarpTile);
        // Two steps of 8 words at a time: what there is beyond the last number is zeros.
        for (int word = 0; word * TNumber.PerWord < numbers; word += 16)
        {
            ref float a = ref _shared[left + word];
            ref float b = ref _shared[right + word];
            sums = Step(ref a, ref b, 0, sums);
            sums = Step(ref a, ref b, 8 * sizeof(float), sums);
        }

        return sums;
    }

    /// <summary>sums + a tile times 32 rows.</summary>
    public WarpRows Multiply(WarpTile tile, int at, int numbers, WarpRows sums)
    {
        ref float rows = ref _shared[at];
        if (TNumber.PerWord == 1)
        {
            Words4 a = TNumber.Left(tile.A, default), b = TNumber.Left(tile.B, default);
            Words4 c = TNumber.Left(tile.C, default), d = TNumber.Left(tile.D, default);
            sums.Low = Block(d, ref rows, 3, 0, Block(c, ref rows, 2, 0, Block(b, ref rows, 1, 0, Block(a, ref rows, 0, 0, sums.Low))));
            if (numbers > Widest / 2)
                sums.High = Block(d, ref rows, 3, 32, Block(c, ref rows, 2, 32, Block(b, ref rows, 1, 32, Block(a, ref rows, 0, 32, sums.High))));
        }
        else
        {
            Words4 a = TNumber.Left(tile.A, tile.B), b = TNumber.Left(tile.C, tile.D);
            sums.Low = Block(b, ref rows, 1, 0, Block(a, ref rows, 0, 0, sums.Low));
            if (numbers > Widest / 2)
                sums.High = Block(b, ref rows, 1, 32, Block(a, ref rows, 0, 32, sums.High));
        }

        return sums;
    }

    /// <summary>
    /// Copies a group's rows, or 32 others, into shared memory: zeros in rows and columns that there are not, up to 32 or 64 columns.
    /// </summary>
    public void Load<TPanel>(TPanel panel, int to, int rows)
        where TPanel : struct, IWarpPanel
    {
        int shift = panel.Columns > Widest / 2 ? 4 : 3, step = Threads >> shift;
        int column = 4 * (Group.IdxX & ((1 << shift) - 1));
        for (int row = Group.IdxX >> shift; row < rows; row += 4 * step)
        {
            // Four loads are under way at a time.
            Float4 a = Read(panel, row, column), b = Read(panel, row + step, column);
            Float4 c = default, d = default;
            bool hasMore = row + (2 * step) < rows;
            if (hasMore)
                (c, d) = (Read(panel, row + (2 * step), column), Read(panel, row + (3 * step), column));
            int at = to + (row * Pitch) + (column / TNumber.PerWord);
            TNumber.Store(ref _shared[at], a);
            TNumber.Store(ref _shared[at + (step * Pitch)], b);
            if (!hasMore)
                continue;
            TNumber.Store(ref _shared[at + (2 * step * Pitch)], c);
            TNumber.Store(ref _shared[at + (3 * step * Pitch)], d);
        }
    }

    private static WarpTile Step(ref float a, ref float b, int bytes, WarpTile sums)
    {
        var left = Ptx.LoadMatrices(ref a, bytes);
        return sums.Plus<TNumber>(left, Ptx.LoadMatrices(ref b, bytes), Ptx.LoadMatrices(ref b, bytes + (16 * Pitch * sizeof(float))));
    }

    private static WarpTile Block(Words4 left, ref float rows, int block, int column, WarpTile sums) =>
        sums.Plus<TNumber>(left, TNumber.Across(ref rows, block, column, Pitch), TNumber.Across(ref rows, block, column + 16, Pitch));

    private static Float4 Read<TPanel>(TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        var numbers = default(Float4);
        if (column < panel.Columns && panel.Has(row))
            numbers = panel.Read(row, column);
        return numbers;
    }
}

/// <summary>Rows of a matrix that a group works on, of whole vectors.</summary>
internal interface IWarpPanel
{
    int Columns { get; }

    bool Has(int row);

    /// <summary>Four neighbours.</summary>
    Float4 Read(int row, int column);

    /// <summary>Writes or adds two neighbours.</summary>
    void Write(int row, int column, float x, float y);
}
