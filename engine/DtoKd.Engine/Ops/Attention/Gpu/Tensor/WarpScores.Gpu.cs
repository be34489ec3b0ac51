using static DtoKd.Engine.Gpu.AttentionWarp;

namespace DtoKd.Engine.Gpu;

/// <summary>Scores, their softmax and its gradient on the part of a lane.</summary>
internal static class WarpScores
{
    /// <summary>Scores of queries down and keys across; minus infinity beyond the last key.</summary>
    public static WarpTile OfQueries(AttentionArgs args, Places at, WarpTile dots, int query, int key)
    {
        if (args.HasTerms == 0 && key + Columns <= args.Keys)
            return dots * args.Scale;
        query += Row;
        key += Column;
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
        key += Row;
        query += Column;
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
