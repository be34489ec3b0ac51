using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The numbers that attention multiplies on the tensor cores, in words of 32 bits.</summary>
internal interface IAttentionNumber
{
    /// <summary>Numbers in a word.</summary>
    static abstract int PerWord { get; }

    /// <summary>Stores four neighbours of a row in shared memory, rounded.</summary>
    static abstract void Store(ref float to, Float4 numbers);

    /// <summary>sum + the product of 16 rows and 8 columns over 8 words.</summary>
    static abstract Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum);

    /// <summary>
    /// Sums of 16 rows and 8 columns, or as many more as it takes, as 8 words of the left factor of a further product: in which order
    /// the columns then come is known to <see cref="Across"/>.
    /// </summary>
    static abstract Words4 Left(Float4 sums, Float4 next);

    /// <summary>Where in rows in shared memory the lane's part of a right factor begins that is summed along the rows.</summary>
    static abstract int AcrossAt(int lane, int pitch);

    /// <summary>8 words of 16 columns of such a factor.</summary>
    static abstract Words4 Across(ref float at, int block, int column, int pitch);
}

/// <summary>TF32, rounded on the way to shared memory or from the sums.</summary>
internal readonly struct AttentionTf32 : IAttentionNumber
{
    public static int PerWord => 1;

    public static void Store(ref float to, Float4 numbers) =>
        Ptx.StoreShared4(ref to, 0, new(Round(numbers.X), Round(numbers.Y), Round(numbers.Z), Round(numbers.W)));

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyTf32(left, right, sum);

    // A lane has the sums of columns 2 c and 2 c + 1: they are words c and c + 4 of the sums.
    public static Words4 Left(Float4 sums, Float4 next) => new(Word(sums.X), Word(sums.Z), Word(sums.Y), Word(sums.W));

    public static int AcrossAt(int lane, int pitch) => (2 * (lane & 3) * pitch) + (lane >> 2);

    public static Words4 Across(ref float at, int block, int column, int pitch)
    {
        const int Beside = 8 * sizeof(float);
        int first = ((8 * block * pitch) + column) * sizeof(float), second = first + (pitch * sizeof(float));
        return new(
            Ptx.LoadShared(ref at, first),
            Ptx.LoadShared(ref at, second),
            Ptx.LoadShared(ref at, first + Beside),
            Ptx.LoadShared(ref at, second + Beside));
    }

    private static uint Word(float number) => Ptx.RoundToTf32(Interop.FloatAsInt(number));

    private static float Round(float number) => Interop.IntAsFloat(Word(number));
}

/// <summary>Two numbers of bf16 in a word.</summary>
internal readonly struct AttentionBf16 : IAttentionNumber
{
    public static int PerWord => 2;

    public static void Store(ref float to, Float4 numbers) => Ptx.StoreShared2(ref to, 0, new Float2
    {
        X = Interop.IntAsFloat(Ptx.PackBf16(numbers.Y, numbers.X)),
        Y = Interop.IntAsFloat(Ptx.PackBf16(numbers.W, numbers.Z)),
    });

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyBf16(left, right, sum);

    public static Words4 Left(Float4 sums, Float4 next) => new(
        Ptx.PackBf16(sums.Y, sums.X), Ptx.PackBf16(sums.W, sums.Z), Ptx.PackBf16(next.Y, next.X), Ptx.PackBf16(next.W, next.Z));

    // Matrices: rows 0 - 7 and 8 - 15 of the first 8 columns, then of the second.
    public static int AcrossAt(int lane, int pitch) => ((lane & 15) * pitch) + (4 * (lane >> 4));

    public static Words4 Across(ref float at, int block, int column, int pitch) =>
        Ptx.LoadTransposed(ref at, ((16 * block * pitch) + (column / 2)) * sizeof(float));
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

    /// <summary>Each row times a number of its own.</summary>
    public static WarpTile operator *(WarpTile x, Float2 rows)
    {
        var factors = Spread(rows);
        return new() { A = x.A * factors, B = x.B * factors, C = x.C * factors, D = x.D * factors };
    }

    /// <summary>A number for each of the lane's rows, for each of its elements in a field.</summary>
    public static Float4 Spread(Float2 rows) => new(rows.X, rows.X, rows.Y, rows.Y);
}

/// <summary>16 rows and 64 columns of a warp.</summary>
internal struct WarpRows
{
    public WarpTile Low, High;

    public static WarpRows operator *(WarpRows x, Float2 rows) => new() { Low = x.Low * rows, High = x.High * rows };
}

/// <summary>
/// The two products of attention on the tensor cores, after Dao, "FlashAttention-2" (2023): each warp has 16 rows, whose sums stay in
/// its registers from one product to the next. Factors lie in shared memory as rows of up to 64 numbers, a vector apart: eight rows'
/// vectors, and two rows in eight columns, are in different banks.
/// </summary>
internal static class AttentionWarp<TNumber>
    where TNumber : struct, IAttentionNumber
{
    public const int Threads = 128;

    /// <summary>Rows of a group, and columns that it works on at a time.</summary>
    public const int Rows = 64, Columns = 32;

    /// <summary>The most numbers in a row.</summary>
    public const int Widest = 64;

    /// <summary>Words from one row to the next.</summary>
    public static int Pitch => (Widest / TNumber.PerWord) + 4;

    public static int Lane => Group.IdxX & 31;

    /// <summary>The warp's first row.</summary>
    public static int Strip => Group.IdxX / 32 * 16;

    /// <summary>The warp's first row among those of a matrix, the same number for all lanes: they go the same way by it.</summary>
    public static int FirstOfWarp(int first) => Warp.Shuffle(first + Strip, 0);

    /// <summary>Where the lane's part of the warp's rows begins, as a left factor that is summed along rows.</summary>
    public static int LeftAt => ((Strip + (Lane & 15)) * Pitch) + (4 * (Lane >> 4));

    /// <summary>Where the lane's part of a right factor begins that is summed along rows.</summary>
    public static int AlongAt => (((Lane & 7) + (Lane >> 4 << 3)) * Pitch) + (4 * ((Lane >> 3) & 1));

    /// <summary>Where the lane's part of a right factor begins whose rows are summed.</summary>
    public static int AcrossAt => TNumber.AcrossAt(Lane, Pitch);

    /// <summary>The dot products of the warp's rows with 32 rows.</summary>
    public static WarpTile Dots(ArrayView<float> shared, int left, int right, int numbers)
    {
        var sums = default(WarpTile);
        // Two steps of 8 words at a time: what there is beyond the last number is zeros.
        for (int word = 0; word * TNumber.PerWord < numbers; word += 16)
        {
            ref float a = ref shared[left + word];
            ref float b = ref shared[right + word];
            sums = Step(ref a, ref b, 0, sums);
            sums = Step(ref a, ref b, 8 * sizeof(float), sums);
        }

        return sums;
    }

    /// <summary>sums + a tile times 32 rows.</summary>
    public static WarpRows Multiply(WarpTile tile, ArrayView<float> shared, int at, int numbers, WarpRows sums)
    {
        ref float rows = ref shared[at];
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

    /// <summary>The fold of each row, for all lanes that have a part of it.</summary>
    public static Float2 FoldLanes<TFold>(Float2 rows)
        where TFold : struct, IFold => new() { X = FoldLanes<TFold>(rows.X), Y = FoldLanes<TFold>(rows.Y) };

    /// <summary>The fold of the lane's part of each row.</summary>
    public static Float2 FoldTile<TFold>(WarpTile tile)
        where TFold : struct, IFold => new()
        {
            X = Fold<TFold>(
                Fold<TFold>(Fold<TFold>(tile.A.X, tile.A.Y), Fold<TFold>(tile.B.X, tile.B.Y)),
                Fold<TFold>(Fold<TFold>(tile.C.X, tile.C.Y), Fold<TFold>(tile.D.X, tile.D.Y))),
            Y = Fold<TFold>(
                Fold<TFold>(Fold<TFold>(tile.A.Z, tile.A.W), Fold<TFold>(tile.B.Z, tile.B.W)),
                Fold<TFold>(Fold<TFold>(tile.C.Z, tile.C.W), Fold<TFold>(tile.D.Z, tile.D.W))),
        };

    /// <summary>
    /// Copies a group's rows, or 32 others, into shared memory: zeros in rows and columns that there are not, up to 32 or 64 columns.
    /// </summary>
    public static void Load<TPanel>(TPanel panel, ArrayView<float> shared, int to, int rows)
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
            TNumber.Store(ref shared[at], a);
            TNumber.Store(ref shared[at + (step * Pitch)], b);
            if (!hasMore)
                continue;
            TNumber.Store(ref shared[at + (2 * step * Pitch)], c);
            TNumber.Store(ref shared[at + (3 * step * Pitch)], d);
        }
    }

    /// <summary>Writes or adds the warp's sums.</summary>
    public static void Store<TPanel>(WarpRows sums, TPanel panel)
        where TPanel : struct, IWarpPanel
    {
        int row = Strip + (Lane >> 2), column = 2 * (Lane & 3);
        StoreTile(sums.Low, panel, row, column);
        if (panel.Columns > Widest / 2)
            StoreTile(sums.High, panel, row, column + (Widest / 2));
    }

    private static WarpTile Step(ref float a, ref float b, int bytes, WarpTile sums)
    {
        var left = Ptx.LoadMatrices(ref a, bytes);
        Words4 x = Ptx.LoadMatrices(ref b, bytes), y = Ptx.LoadMatrices(ref b, bytes + (16 * Pitch * sizeof(float)));
        return new()
        {
            A = TNumber.MultiplyAdd(left, new(x.X, x.Y), sums.A),
            B = TNumber.MultiplyAdd(left, new(x.Z, x.W), sums.B),
            C = TNumber.MultiplyAdd(left, new(y.X, y.Y), sums.C),
            D = TNumber.MultiplyAdd(left, new(y.Z, y.W), sums.D),
        };
    }

    private static WarpTile Block(Words4 left, ref float rows, int block, int column, WarpTile sums)
    {
        Words4 x = TNumber.Across(ref rows, block, column, Pitch), y = TNumber.Across(ref rows, block, column + 16, Pitch);
        return new()
        {
            A = TNumber.MultiplyAdd(left, new(x.X, x.Y), sums.A),
            B = TNumber.MultiplyAdd(left, new(x.Z, x.W), sums.B),
            C = TNumber.MultiplyAdd(left, new(y.X, y.Y), sums.C),
            D = TNumber.MultiplyAdd(left, new(y.Z, y.W), sums.D),
        };
    }

    private static float FoldLanes<TFold>(float value)
        where TFold : struct, IFold
    {
        value = Fold<TFold>(value, Warp.ShuffleXor(value, 1));
        return Fold<TFold>(value, Warp.ShuffleXor(value, 2));
    }

    private static float Fold<TFold>(float a, float b)
        where TFold : struct, IFold => TFold.Of(new GpuLane(a), new GpuLane(b)).Value;

    private static Float4 Read<TPanel>(TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        var numbers = default(Float4);
        if (column < panel.Columns && panel.Has(row))
            numbers = panel.Read(row, column);
        return numbers;
    }

    private static void StoreTile<TPanel>(WarpTile tile, TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        if (panel.Has(row))
        {
            StorePair(tile.A.X, tile.A.Y, panel, row, column);
            StorePair(tile.B.X, tile.B.Y, panel, row, column + 8);
            StorePair(tile.C.X, tile.C.Y, panel, row, column + 16);
            StorePair(tile.D.X, tile.D.Y, panel, row, column + 24);
        }

        if (panel.Has(row + 8))
        {
            StorePair(tile.A.Z, tile.A.W, panel, row + 8, column);
            StorePair(tile.B.Z, tile.B.W, panel, row + 8, column + 8);
            StorePair(tile.C.Z, tile.C.W, panel, row + 8, column + 16);
            StorePair(tile.D.Z, tile.D.W, panel, row + 8, column + 24);
        }
    }

    private static void StorePair<TPanel>(float x, float y, TPanel panel, int row, int column)
        where TPanel : struct, IWarpPanel
    {
        if (column < panel.Columns)
            panel.Write(row, column, x, y);
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
