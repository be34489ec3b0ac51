using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The side of a square tile of scores; a thread has 4 x 4 of its elements.</summary>
internal interface IAttentionTile
{
    static abstract int Side { get; }

    static abstract int Threads { get; }
}

/// <summary>32 x 32: for heads of at most 32 numbers, which fill no larger one, and few tokens.</summary>
internal readonly struct Tile8 : IAttentionTile
{
    public static int Side => 32;

    public static int Threads => 64;
}

/// <summary>64 x 64: half as much traffic for each score.</summary>
internal readonly struct Tile16 : IAttentionTile
{
    public static int Side => 64;

    public static int Threads => 256;
}

/// <summary>
/// A thread's part of a tile: rows <c>Row + r Lanes</c>, r = 0 .. 3. Columns are <c>Column + c Lanes</c> in tiles of dot
/// products, so that neighbouring threads read neighbouring rows of the right operand, and <c>4 Column + c</c> in tiles that are
/// sums of rows, which are read as vectors.
/// </summary>
internal struct TileRows
{
    public Float4 A, B, C, D;

    public static TileRows operator +(TileRows x, TileRows y) => new() { A = x.A + y.A, B = x.B + y.B, C = x.C + y.C, D = x.D + y.D };

    public static TileRows operator *(TileRows x, Float4 rows) =>
        new() { A = x.A * rows.X, B = x.B * rows.Y, C = x.C * rows.Z, D = x.D * rows.W };

    public static TileRows operator *(TileRows x, TileRows y) => new() { A = x.A * y.A, B = x.B * y.B, C = x.C * y.C, D = x.D * y.D };
}

/// <summary>Which matrices a group works on: pointers and sizes of one operand.</summary>
internal struct Panel(Matrix matrix, int at, int first, int rows, int columns)
{
    public Matrix Matrix = matrix;

    /// <summary>Where the matrix starts, the first row of the tile, and how many rows and columns there are.</summary>
    public int At = at, First = first, Rows = rows, Columns = columns;
}

/// <summary>
/// The two products of attention on tiles in shared memory. Rows there are a multiple of four floats and four more apart: vectors
/// of neighbouring rows begin in different banks.
/// </summary>
internal static class AttentionTile<TTile>
    where TTile : struct, IAttentionTile
{
    /// <summary>Columns of the operands of dot products that lie in shared memory at a time.</summary>
    public const int Slice = 32;

    /// <summary>Floats from one row of a slice to the next.</summary>
    public const int SlicePitch = Slice + 4;

    /// <summary>Threads along a side of the tile.</summary>
    public static int Lanes => TTile.Side / 4;

    public static int Column => Group.IdxX % Lanes;

    public static int Row => Group.IdxX / Lanes;

    /// <summary>Floats from one row of a tile in shared memory to the next.</summary>
    public static int Pitch => TTile.Side + 4;

    /// <summary>Floats that two slices of operands need; a tile of scores needs no more.</summary>
    public static int SlicesLength => 2 * TTile.Side * SlicePitch;

    /// <summary>Floats that a tile of rows needs.</summary>
    public static int TileLength => TTile.Side * Pitch;

    /// <summary>The dot products of the rows of two panels; all threads have read the shared memory when it returns.</summary>
    public static TileRows Dots(Panel left, Panel right, ArrayView<float> slices)
    {
        var sum = default(TileRows);
        for (int from = 0; from < left.Columns; from += Slice)
        {
            Load(left, from, Slice, slices, 0, SlicePitch);
            Load(right, from, Slice, slices, TTile.Side * SlicePitch, SlicePitch);
            sum = Dots(slices, sum);
        }

        return sum;
    }

    /// <summary>
    /// sum + the dot products of two slices, one behind the other, which the threads have written; all have read them when it
    /// returns.
    /// </summary>
    public static TileRows Dots(ArrayView<float> slices, TileRows sum)
    {
        // One view for both: ILGPU reads vectors only where it sees that they are aligned, and does not in the middle of a view.
        var vectors = slices.Cast<Float4>();
        int next = Lanes * (SlicePitch / 4), atL = Row * (SlicePitch / 4), atR = (4 * next) + (Column * (SlicePitch / 4));
        Group.Barrier();
        for (int p = 0; p < Slice / 4; p++)
        {
            Float4 x = vectors[atR + p], y = vectors[atR + next + p];
            Float4 z = vectors[atR + (2 * next) + p], w = vectors[atR + (3 * next) + p];
            sum.A = Dots(vectors[atL + p], x, y, z, w, sum.A);
            sum.B = Dots(vectors[atL + next + p], x, y, z, w, sum.B);
            sum.C = Dots(vectors[atL + (2 * next) + p], x, y, z, w, sum.C);
            sum.D = Dots(vectors[atL + (3 * next) + p], x, y, z, w, sum.D);
        }

        Group.Barrier();
        return sum;
    }

    /// <summary>
    /// sum + a tile times some rows, both in shared memory; all threads have read it when it returns.
    /// </summary>
    public static TileRows Multiply(ArrayView<float> tile, ArrayView<float> rows, TileRows sum)
    {
        ArrayView<Float4> l = tile.Cast<Float4>(), r = rows.Cast<Float4>();
        int pitch = Pitch / 4, atL = Row * pitch, atR = Column, next = Lanes * pitch;
        Group.Barrier();
        for (int p = 0; p < TTile.Side / 4; p++, atR += 4 * pitch)
        {
            Float4 a = l[atL + p], b = l[atL + next + p], c = l[atL + (2 * next) + p], d = l[atL + (3 * next) + p];
            sum = MultiplyAdd(a.X, b.X, c.X, d.X, r[atR], sum);
            sum = MultiplyAdd(a.Y, b.Y, c.Y, d.Y, r[atR + pitch], sum);
            sum = MultiplyAdd(a.Z, b.Z, c.Z, d.Z, r[atR + (2 * pitch)], sum);
            sum = MultiplyAdd(a.W, b.W, c.W, d.W, r[atR + (3 * pitch)], sum);
        }

        Group.Barrier();
        return sum;
    }

    /// <summary>Copies columns of a panel as wide as a tile into shared memory.</summary>
    public static void Load(Panel panel, int firstColumn, ArrayView<float> target) => Load(panel, firstColumn, TTile.Side, target, 0, Pitch);

    /// <summary>Writes the tile of scores into shared memory.</summary>
    public static void Store(TileRows tile, ArrayView<float> target)
    {
        int at = (Row * Pitch) + Column, next = Lanes * Pitch;
        StoreRow(tile.A, target, at);
        StoreRow(tile.B, target, at + next);
        StoreRow(tile.C, target, at + (2 * next));
        StoreRow(tile.D, target, at + (3 * next));
    }

    /// <summary>Writes the tile of scores into shared memory with rows and columns exchanged.</summary>
    public static void StoreTransposed(TileRows tile, ArrayView<float> target)
    {
        int at = (Column * Pitch) + Row;
        StoreColumn(tile.A, target, at);
        StoreColumn(tile.B, target, at + Lanes);
        StoreColumn(tile.C, target, at + (2 * Lanes));
        StoreColumn(tile.D, target, at + (3 * Lanes));
    }

    /// <summary>Writes or adds a tile of sums to a panel's columns.</summary>
    public static void Store(TileRows tile, Panel panel, int firstColumn, float factor)
    {
        StoreRow(tile.A, panel, 0, firstColumn, factor);
        StoreRow(tile.B, panel, Lanes, firstColumn, factor);
        StoreRow(tile.C, panel, 2 * Lanes, firstColumn, factor);
        StoreRow(tile.D, panel, 3 * Lanes, firstColumn, factor);
    }

    /// <summary>
    /// Dot products of queries (rows) and keys (columns) become scores: scale, bias, and minus infinity where the query does not
    /// see the key or there is none.
    /// </summary>
    /// <param name="args">The kernel's.</param>
    /// <param name="at">The item's places in bias and mask.</param>
    /// <param name="tile">The dot products.</param>
    /// <param name="query">The first query.</param>
    /// <param name="key">The first key.</param>
    /// <param name="keysDown">1 if the tile's rows are keys and its columns queries.</param>
    public static TileRows Scores(AttentionArgs args, Places at, TileRows tile, int query, int key, int keysDown)
    {
        query += keysDown != 0 ? Column : Row;
        key += keysDown != 0 ? Row : Column;
        int keyDown = keysDown != 0 ? Lanes : 0, queryDown = Lanes - keyDown;
        // Along a row of the tile it is the other one that moves.
        tile.A = ScoresOfRow(args, at, tile.A, query, key, keyDown, queryDown);
        tile.B = ScoresOfRow(args, at, tile.B, query + queryDown, key + keyDown, keyDown, queryDown);
        tile.C = ScoresOfRow(args, at, tile.C, query + (2 * queryDown), key + (2 * keyDown), keyDown, queryDown);
        tile.D = ScoresOfRow(args, at, tile.D, query + (3 * queryDown), key + (3 * keyDown), keyDown, queryDown);
        return tile;
    }

    /// <summary>One number for each of the thread's rows, or columns, of which <paramref name="first"/> is the first.</summary>
    public static Float4 Numbers(ArrayView<float> source, int at, int stride, int first, int count) => new(
        Number(source, at, stride, first, count),
        Number(source, at, stride, first + Lanes, count),
        Number(source, at, stride, first + (2 * Lanes), count),
        Number(source, at, stride, first + (3 * Lanes), count));

    /// <summary>The fold of each row of the tile, for every thread that has a part of it.</summary>
    public static Float4 FoldRows<TFold>(TileRows tile)
        where TFold : struct, IFold =>
        new(FoldRow<TFold>(tile.A), FoldRow<TFold>(tile.B), FoldRow<TFold>(tile.C), FoldRow<TFold>(tile.D));

    private static float FoldRow<TFold>(Float4 row)
        where TFold : struct, IFold
    {
        float value = Fold<TFold>(Fold<TFold>(row.X, row.Y), Fold<TFold>(row.Z, row.W));
        for (int distance = Lanes / 2; distance > 0; distance >>= 1)
            value = Fold<TFold>(value, Warp.ShuffleXor(value, distance));
        return value;
    }

    private static float Fold<TFold>(float a, float b)
        where TFold : struct, IFold => TFold.Of(new GpuLane(a), new GpuLane(b)).Value;

    private static Float4 Dots(Float4 a, Float4 x, Float4 y, Float4 z, Float4 w, Float4 sum) =>
        new(Float4.Dot(a, x, sum.X), Float4.Dot(a, y, sum.Y), Float4.Dot(a, z, sum.Z), Float4.Dot(a, w, sum.W));

    private static TileRows MultiplyAdd(float a, float b, float c, float d, Float4 row, TileRows sum) => new()
    {
        A = Float4.MultiplyAdd(a, row, sum.A),
        B = Float4.MultiplyAdd(b, row, sum.B),
        C = Float4.MultiplyAdd(c, row, sum.C),
        D = Float4.MultiplyAdd(d, row, sum.D),
    };

    private static void Load(Panel panel, int firstColumn, int columns, ArrayView<float> target, int first, int pitch)
    {
        for (int i = Group.IdxX; i < TTile.Side * columns; i += TTile.Threads)
        {
            int row = i / columns, column = i - (row * columns);
            bool inside = panel.First + row < panel.Rows && firstColumn + column < panel.Columns;
            int at = panel.At + ((panel.First + row) * panel.Matrix.Row) + ((firstColumn + column) * panel.Matrix.Column);
            target[first + (row * pitch) + column] = inside ? panel.Matrix.X[at] : 0;
        }
    }

    private static void StoreRow(Float4 row, ArrayView<float> target, int at)
    {
        target[at] = row.X;
        target[at + Lanes] = row.Y;
        target[at + (2 * Lanes)] = row.Z;
        target[at + (3 * Lanes)] = row.W;
    }

    private static void StoreColumn(Float4 row, ArrayView<float> target, int at)
    {
        int next = Lanes * Pitch;
        target[at] = row.X;
        target[at + next] = row.Y;
        target[at + (2 * next)] = row.Z;
        target[at + (3 * next)] = row.W;
    }

    private static void StoreRow(Float4 values, Panel panel, int row, int firstColumn, float factor)
    {
        row += panel.First + Row;
        int column = firstColumn + (4 * Column);
        if (row >= panel.Rows)
            return;
        StoreElement(values.X * factor, panel, row, column);
        StoreElement(values.Y * factor, panel, row, column + 1);
        StoreElement(values.Z * factor, panel, row, column + 2);
        StoreElement(values.W * factor, panel, row, column + 3);
    }

    private static void StoreElement(float value, Panel panel, int row, int column)
    {
        if (column >= panel.Columns)
            return;
        int at = panel.At + (row * panel.Matrix.Row) + (column * panel.Matrix.Column);
        if (panel.Matrix.Accumulate != 0)
            value += panel.Matrix.X[at];
        panel.Matrix.X[at] = value;
    }

    private static Float4 ScoresOfRow(AttentionArgs args, Places at, Float4 dots, int query, int key, int nextQuery, int nextKey) => new(
        AttentionMath.Score(args, at, dots.X, query, key),
        AttentionMath.Score(args, at, dots.Y, query + nextQuery, key + nextKey),
        AttentionMath.Score(args, at, dots.Z, query + (2 * nextQuery), key + (2 * nextKey)),
        AttentionMath.Score(args, at, dots.W, query + (3 * nextQuery), key + (3 * nextKey)));

    private static float Number(ArrayView<float> source, int at, int stride, int index, int count) =>
        index < count ? source[at + (index * stride)] : 0;
}
