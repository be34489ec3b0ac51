using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A group for some queries of an item and some columns of the result: it goes over the keys with the largest score so far,
/// after Dao et al., "FlashAttention" (2022), algorithm 1.
/// </summary>
internal readonly struct AttentionForward<TTile> : IKernel<AttentionArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(AttentionArgs args)
    {
        var block = new AttentionBlock(args);
        int query = block.Tile * TTile.Side, column = block.Part * TTile.Side;
        Places at = args.Inputs.At(block.Item), terms = args.Terms.At(block.Item);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        var values = SharedMemory.Allocate<float>(AttentionTile<TTile>.TileLength);
        var queries = new Panel(args.Q, at.A, query, args.Queries, args.Depth);
        Float4 max = new(float.NegativeInfinity), sum = default;
        var y = default(TileRows);
        for (int key = 0; key < args.Keys; key += TTile.Side)
        {
            var p = AttentionTile<TTile>.Dots(queries, new Panel(args.K, at.B, key, args.Keys, args.Depth), slices);
            p = AttentionTile<TTile>.Scores(args, terms, p, query, key, keysDown: 0);
            var largest = AttentionTile<TTile>.FoldRows<Op.LargerOf>(p);
            largest = new(Ptx.Max(max.X, largest.X), Ptx.Max(max.Y, largest.Y), Ptx.Max(max.Z, largest.Z), Ptx.Max(max.W, largest.W));
            var shift = new Float4(AttentionMath.Finite(largest.X), AttentionMath.Finite(largest.Y), AttentionMath.Finite(largest.Z), AttentionMath.Finite(largest.W));
            p = AttentionMath.Exp(p, shift);
            var shrink = AttentionMath.Exp(max, shift);
            max = largest;
            sum = (sum * shrink) + AttentionTile<TTile>.FoldRows<SumOf>(p);
            AttentionTile<TTile>.Store(p, slices);
            AttentionTile<TTile>.Load(new Panel(args.V, at.C, key, args.Keys, args.Width), column, values);
            y = AttentionTile<TTile>.Multiply(slices, values, y * shrink);
        }

        var factor = new Float4(AttentionMath.Factor(max.X, sum.X), AttentionMath.Factor(max.Y, sum.Y), AttentionMath.Factor(max.Z, sum.Z), AttentionMath.Factor(max.W, sum.W));
        AttentionTile<TTile>.Store(y * factor, new Panel(args.Y, at.D, query, args.Queries, args.Width), column, 1);
        if (block.Part == 0 && AttentionTile<TTile>.Column == 0)
        {
            int lanes = AttentionTile<TTile>.Lanes;
            query += AttentionTile<TTile>.Row;
            AttentionMath.Save(args, terms.C, query, max.X, factor.X);
            AttentionMath.Save(args, terms.C, query + lanes, max.Y, factor.Y);
            AttentionMath.Save(args, terms.C, query + (2 * lanes), max.Z, factor.Z);
            AttentionMath.Save(args, terms.C, query + (3 * lanes), max.W, factor.W);
        }
    }
}

/// <summary>
/// The sum of p dp over each row of scores, which is the dot product of its result and the result's gradient: a warp for each.
/// </summary>
internal readonly struct AttentionMeans : IKernel<AttentionArgs>
{
    public static void Run(AttentionArgs args)
    {
        int row = WarpOfRow.Row;
        bool isInside = row < args.Inputs.Count * args.Queries;
        int item = isInside ? row / args.Queries : 0, query = isInside ? row - (item * args.Queries) : 0;
        int dy = args.Inputs.At(item).D + (query * args.Y.Row), y = args.Terms.At(item).D + (query * args.Result.Row);
        float sum = 0;
        for (int column = WarpOfRow.Rank; column < args.Width; column += WarpOfRow.Size)
            sum = Ptx.Fma(args.Y.X[dy + (column * args.Y.Column)], args.Result.X[y + (column * args.Result.Column)], sum);
        sum = WarpOfRow.Fold<SumOf>(sum);
        if (isInside && WarpOfRow.Rank == 0)
            args.Means[row] = sum;
    }
}

/// <summary>A group for some queries and some columns of their gradient: scale times the sum of p (dp - mean) k.</summary>
internal readonly struct AttentionQueries<TTile> : IKernel<AttentionArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(AttentionArgs args)
    {
        var block = new AttentionBlock(args);
        int query = block.Tile * TTile.Side, column = block.Part * TTile.Side, row = query + AttentionTile<TTile>.Row;
        Places at = args.Inputs.At(block.Item), terms = args.Terms.At(block.Item), targets = args.Targets.At(block.Item);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        var keys = SharedMemory.Allocate<float>(AttentionTile<TTile>.TileLength);
        var max = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C, args.Rows.Row, row, args.Queries);
        var factor = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C + args.Rows.Column, args.Rows.Row, row, args.Queries);
        var mean = AttentionTile<TTile>.Numbers(args.Means, block.Item * args.Queries, 1, row, args.Queries);
        TileRows dq = default;
        for (int key = 0; key < args.Keys; key += TTile.Side)
        {
            var k = new Panel(args.K, at.B, key, args.Keys, args.Depth);
            var p = AttentionTile<TTile>.Dots(new Panel(args.Q, at.A, query, args.Queries, args.Depth), k, slices);
            p = AttentionMath.Exp(AttentionTile<TTile>.Scores(args, terms, p, query, key, keysDown: 0), max) * factor;
            var dp = AttentionTile<TTile>.Dots(
                new Panel(args.Y, at.D, query, args.Queries, args.Width), new Panel(args.V, at.C, key, args.Keys, args.Width), slices);
            AttentionTile<TTile>.Load(k, column, keys);
            AttentionTile<TTile>.Store(AttentionMath.Slope(p, dp, new(mean.X), new(mean.Y), new(mean.Z), new(mean.W)), slices);
            dq = AttentionTile<TTile>.Multiply(slices, keys, dq);
        }

        AttentionTile<TTile>.Store(dq, new Panel(args.Dq, targets.A, query, args.Queries, args.Depth), column, args.Scale);
    }
}

/// <summary>
/// A group for some keys and some columns of the gradients of keys and values: it goes over the queries with the tile of
/// scores on its side.
/// </summary>
internal readonly struct AttentionKeys<TTile> : IKernel<AttentionArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(AttentionArgs args)
    {
        var block = new AttentionBlock(args);
        int key = block.Tile * TTile.Side, column = block.Part * TTile.Side;
        Places at = args.Inputs.At(block.Item), terms = args.Terms.At(block.Item), targets = args.Targets.At(block.Item);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        var rows = SharedMemory.Allocate<float>(AttentionTile<TTile>.TileLength);
        TileRows dk = default, dv = default;
        for (int query = 0; query < args.Queries; query += TTile.Side)
        {
            var q = new Panel(args.Q, at.A, query, args.Queries, args.Depth);
            var dy = new Panel(args.Y, at.D, query, args.Queries, args.Width);
            int mine = query + AttentionTile<TTile>.Column;
            var max = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C, args.Rows.Row, mine, args.Queries);
            var factor = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C + args.Rows.Column, args.Rows.Row, mine, args.Queries);
            var p = AttentionTile<TTile>.Dots(new Panel(args.K, at.B, key, args.Keys, args.Depth), q, slices);
            p = AttentionMath.ExpOfColumns(AttentionTile<TTile>.Scores(args, terms, p, query, key, keysDown: 1), max, factor);
            if (args.Dv.IsWanted != 0)
            {
                AttentionTile<TTile>.Load(dy, column, rows);
                AttentionTile<TTile>.Store(p, slices);
                dv = AttentionTile<TTile>.Multiply(slices, rows, dv);
            }

            if (args.Dk.IsWanted == 0)
                continue;
            var dp = AttentionTile<TTile>.Dots(new Panel(args.V, at.C, key, args.Keys, args.Width), dy, slices);
            var mean = AttentionTile<TTile>.Numbers(args.Means, block.Item * args.Queries, 1, mine, args.Queries);
            AttentionTile<TTile>.Load(q, column, rows);
            AttentionTile<TTile>.Store(AttentionMath.Slope(p, dp, mean, mean, mean, mean), slices);
            dk = AttentionTile<TTile>.Multiply(slices, rows, dk);
        }

        if (args.Dv.IsWanted != 0)
            AttentionTile<TTile>.Store(dv, new Panel(args.Dv, targets.C, key, args.Keys, args.Width), column, 1);
        if (args.Dk.IsWanted != 0)
            AttentionTile<TTile>.Store(dk, new Panel(args.Dk, targets.B, key, args.Keys, args.Depth), column, args.Scale);
    }
}

/// <summary>A group for a tile of one matrix of the bias's sums: it goes over the repetitions of its piece.</summary>
internal readonly struct AttentionBias<TTile> : IKernel<AttentionArgs>
    where TTile : struct, IAttentionTile
{
    public static int MaxGroupSize => TTile.Threads;

    public static void Run(AttentionArgs args)
    {
        var block = new AttentionBlock(args);
        int query = block.Tile * TTile.Side, key = block.Part * TTile.Side, row = query + AttentionTile<TTile>.Row;
        int piece = block.Item / args.Groups, group = block.Item - (piece * args.Groups);
        var slices = SharedMemory.Allocate<float>(AttentionTile<TTile>.SlicesLength);
        int first = piece * args.PerPiece, end = IntrinsicMath.Min(first + args.PerPiece, args.Repeats);
        var sum = default(TileRows);
        for (int repeat = first; repeat < end; repeat++)
        {
            int item = (repeat * args.Groups) + group;
            Places at = args.Inputs.At(item), terms = args.Terms.At(item);
            var max = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C, args.Rows.Row, row, args.Queries);
            var factor = AttentionTile<TTile>.Numbers(args.Rows.X, terms.C + args.Rows.Column, args.Rows.Row, row, args.Queries);
            var mean = AttentionTile<TTile>.Numbers(args.Means, item * args.Queries, 1, row, args.Queries);
            var p = AttentionTile<TTile>.Dots(
                new Panel(args.Q, at.A, query, args.Queries, args.Depth), new Panel(args.K, at.B, key, args.Keys, args.Depth), slices);
            p = AttentionMath.Exp(AttentionTile<TTile>.Scores(args, terms, p, query, key, keysDown: 0), max) * factor;
            var dp = AttentionTile<TTile>.Dots(
                new Panel(args.Y, at.D, query, args.Queries, args.Width), new Panel(args.V, at.C, key, args.Keys, args.Width), slices);
            sum += AttentionMath.Slope(p, dp, new(mean.X), new(mean.Y), new(mean.Z), new(mean.W));
        }

        long to = (long)block.Item * args.Queries * args.Keys;
        int lanes = AttentionTile<TTile>.Lanes;
        key += AttentionTile<TTile>.Column;
        Store(args, to, row, key, lanes, sum.A);
        Store(args, to, row + lanes, key, lanes, sum.B);
        Store(args, to, row + (2 * lanes), key, lanes, sum.C);
        Store(args, to, row + (3 * lanes), key, lanes, sum.D);
    }

    private static void Store(AttentionArgs args, long to, int query, int key, int lanes, Float4 sums)
    {
        if (query >= args.Queries)
            return;
        to += (long)query * args.Keys;
        Store(args, to, key, sums.X);
        Store(args, to, key + lanes, sums.Y);
        Store(args, to, key + (2 * lanes), sums.Z);
        Store(args, to, key + (3 * lanes), sums.W);
    }

    private static void Store(AttentionArgs args, long to, int key, float sum)
    {
        if (key < args.Keys)
            args.BiasSums[to + key] = sum;
    }
}

/// <summary>Which item and tile a group works on: tiles of one item are neighbours, as they read the same matrices.</summary>
internal struct AttentionBlock
{
    public int Item, Tile, Part;

    public AttentionBlock(AttentionArgs args)
    {
        int tile = Grid.IdxX / args.Parts;
        Part = Grid.IdxX - (tile * args.Parts);
        Item = tile / args.Tiles;
        Tile = tile - (Item * args.Tiles);
    }
}

/// <summary>The softmax of attention, on a thread's part of a tile.</summary>
internal static class AttentionMath
{
    private const float Log2E = 1.44269504f;

    /// <summary>The score of a dot product; minus infinity where there is no such pair, or the query does not see the key.</summary>
    public static float Score(AttentionArgs args, Places at, float dot, int query, int key)
    {
        if (query >= args.Queries || key >= args.Keys)
            return float.NegativeInfinity;
        float score = dot * args.Scale;
        if (args.Bias.IsWanted != 0)
            score += args.Bias.X[at.A + (query * args.Bias.Row) + (key * args.Bias.Column)];
        if (args.HasMask != 0 && args.Mask[at.B + (query * args.MaskRow) + (key * args.MaskColumn)] == 0)
            score = float.NegativeInfinity;
        return score;
    }

    /// <summary>A query that sees no key has no largest score, and a result of zeros.</summary>
    public static float Finite(float max) => max == float.NegativeInfinity ? 0 : max;

    /// <summary>What a query's exponentials are multiplied with.</summary>
    public static float Factor(float max, float sum) => max == float.NegativeInfinity ? 0 : 1 / sum;

    /// <summary>Saves what the backward pass needs of a query, if there is such a one.</summary>
    public static void Save(AttentionArgs args, int at, int query, float max, float factor)
    {
        if (query >= args.Queries)
            return;
        at += query * args.Rows.Row;
        args.Rows.X[at] = Finite(max);
        args.Rows.X[at + args.Rows.Column] = factor;
    }

    /// <summary>exp(x - shift), with a shift for each row.</summary>
    public static TileRows Exp(TileRows x, Float4 shift) => new()
    {
        A = Exp(x.A, new(shift.X)),
        B = Exp(x.B, new(shift.Y)),
        C = Exp(x.C, new(shift.Z)),
        D = Exp(x.D, new(shift.W)),
    };

    /// <summary>exp(x - shift) factor, with a shift and a factor for each column.</summary>
    public static TileRows ExpOfColumns(TileRows x, Float4 shift, Float4 factor) => new()
    {
        A = Exp(x.A, shift) * factor,
        B = Exp(x.B, shift) * factor,
        C = Exp(x.C, shift) * factor,
        D = Exp(x.D, shift) * factor,
    };

    public static Float4 Exp(Float4 x, Float4 shift) =>
        new(Exp(x.X - shift.X), Exp(x.Y - shift.Y), Exp(x.Z - shift.Z), Exp(x.W - shift.W));

    /// <summary>The gradient of scores from their probabilities: p (dp - mean), with the means of each row.</summary>
    public static TileRows Slope(TileRows p, TileRows dp, Float4 a, Float4 b, Float4 c, Float4 d) =>
        p * new TileRows { A = dp.A - a, B = dp.B - b, C = dp.C - c, D = dp.D - d };

    /// <summary>The error of the product grows with |x|, where the result is small: within 1e-7 of the row's largest.</summary>
    public static float Exp(float x) => Ptx.Exp2(x * Log2E);
}
