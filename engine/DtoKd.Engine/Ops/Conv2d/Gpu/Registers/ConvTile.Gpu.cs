using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The tile of a product that a group of threads computes, 8 x 8 sums a thread.</summary>
internal interface IConvTile
{
    /// <summary>Warps along the rows.</summary>
    static abstract int WarpsDown { get; }

    /// <summary>Warps along the columns.</summary>
    static abstract int WarpsAcross { get; }

    /// <summary>A warp's threads along the rows: 2 or 4.</summary>
    static abstract int LanesDown { get; }
}

/// <summary>128 x 128 by 256 threads.</summary>
internal readonly struct Rows128 : IConvTile
{
    public static int WarpsDown => 4;

    public static int WarpsAcross => 2;

    public static int LanesDown => 4;
}

/// <summary>64 x 128 by 128 threads.</summary>
internal readonly struct Rows64 : IConvTile
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;

    public static int LanesDown => 4;
}

/// <summary>32 x 128 by 64 threads: for small groups of channels, and where larger tiles are too few to keep a card busy.</summary>
internal readonly struct Rows32 : IConvTile
{
    public static int WarpsDown => 1;

    public static int WarpsAcross => 2;

    public static int LanesDown => 4;
}

/// <summary>16 x 256 by 64 threads: for the smallest groups of channels.</summary>
internal readonly struct Rows16 : IConvTile
{
    public static int WarpsDown => 1;

    public static int WarpsAcross => 2;

    public static int LanesDown => 2;
}

/// <summary>
/// How the threads share a tile and the slices of its two factors. A slice is 8 terms of every sum: 8 lines of the left factor's
/// rows, then 8 lines of the right one's columns, in one of three stages of shared memory: one is multiplied while copies into
/// the two others are on their way.
/// </summary>
internal static class ConvTile<TTile>
    where TTile : struct, IConvTile
{
    public const int Slice = ConvWeights.Slice;

    public const int Stages = 3;

    // Floats between lines, so that copies which turn a slice write to all banks.
    private const int Gap = 4;

    public static int Threads => 32 * TTile.WarpsDown * TTile.WarpsAcross;

    public static int Rows => 8 * TTile.LanesDown * TTile.WarpsDown;

    public static int Columns => 8 * LanesAcross * TTile.WarpsAcross;

    /// <summary>Floats from one line of the left factor to the next.</summary>
    public static int PitchLeft => Rows + Gap;

    /// <summary>Floats from one line of the right factor to the next.</summary>
    public static int PitchRight => Columns + Gap;

    /// <summary>Where in a stage the right factor begins.</summary>
    public static int Right => Slice * PitchLeft;

    /// <summary>Floats from one stage to the next.</summary>
    public static int Stage => Right + (Slice * PitchRight);

    private static int LanesAcross => 32 / TTile.LanesDown;

    // Neighbouring lanes differ in columns, pairs of them in rows: what a quarter of a warp reads lies in few places.
    private static int LaneDown => ((Group.IdxX >> 1) & 1) | (TTile.LanesDown == 4 ? (Group.IdxX >> 3) & 2 : 0);

    private static int LaneAcross => (Group.IdxX & 1) | ((Group.IdxX >> 1) & (LanesAcross - 2));

    private static int WarpDown => Group.IdxX / 32 / TTile.WarpsAcross;

    private static int WarpAcross => (Group.IdxX / 32) & (TTile.WarpsAcross - 1);

    /// <summary>Where in a stage the left factor of the thread's first row begins.</summary>
    public static int FirstLeft => (WarpDown * 8 * TTile.LanesDown) + (4 * LaneDown);

    /// <summary>Where in a stage the right factor of the thread's first column begins.</summary>
    public static int FirstRight => Right + (WarpAcross * 8 * LanesAcross) + (4 * LaneAcross);

    /// <summary>Adds a stage's products to the thread's sums.</summary>
    /// <param name="left">The thread's first row of the left factor in shared memory.</param>
    /// <param name="right">The thread's first column of the right factor in shared memory.</param>
    /// <param name="sums">The thread's sums.</param>
    public static void MultiplyAdd(ref float left, ref float right, ref ConvSums sums)
    {
        Line(ref left, ref right, 0, ref sums);
        Line(ref left, ref right, 1, ref sums);
        Line(ref left, ref right, 2, ref sums);
        Line(ref left, ref right, 3, ref sums);
        Line(ref left, ref right, 4, ref sums);
        Line(ref left, ref right, 5, ref sums);
        Line(ref left, ref right, 6, ref sums);
        Line(ref left, ref right, 7, ref sums);
    }

    /// <summary>
    /// Hands the tile's sums to where they go, neighbouring columns to neighbouring threads. All of the group's threads take part,
    /// and shared memory is free afterwards for nothing else.
    /// </summary>
    /// <param name="shared">Shared memory in fours of floats.</param>
    /// <param name="sums">The thread's sums.</param>
    /// <param name="target">What takes them.</param>
    public static void Store<TTarget>(ArrayView<Float4> shared, ConvSums sums, TTarget target)
        where TTarget : struct, IConvTarget
    {
        // Where the slices were, those beyond the last one may still be filled with zeros.
        Ptx.AwaitCopies(0);
        Store(shared, sums.Left.A, sums.Right.A, 0, target);
        Store(shared, sums.Left.B, sums.Right.B, 1, target);
        Store(shared, sums.Left.C, sums.Right.C, 2, target);
        Store(shared, sums.Left.D, sums.Right.D, 3, target);
        Store(shared, sums.Left.E, sums.Right.E, 4 * TTile.LanesDown, target);
        Store(shared, sums.Left.F, sums.Right.F, (4 * TTile.LanesDown) + 1, target);
        Store(shared, sums.Left.G, sums.Right.G, (4 * TTile.LanesDown) + 2, target);
        Store(shared, sums.Left.H, sums.Right.H, (4 * TTile.LanesDown) + 3, target);
    }

    private static void Line(ref float left, ref float right, int line, ref ConvSums sums)
    {
        int atLeft = line * PitchLeft * sizeof(float), atRight = line * PitchRight * sizeof(float);
        Float4 top = Ptx.LoadShared4(ref left, atLeft), bottom = Ptx.LoadShared4(ref left, atLeft + (16 * TTile.LanesDown));
        sums.Left = sums.Left.Plus(top, bottom, Ptx.LoadShared4(ref right, atRight));
        sums.Right = sums.Right.Plus(top, bottom, Ptx.LoadShared4(ref right, atRight + (16 * LanesAcross)));
    }

    /// <summary>One row of each thread: they meet in shared memory, and leave it in the order of the columns.</summary>
    private static void Store<TTarget>(ArrayView<Float4> shared, Float4 left, Float4 right, int row, TTarget target)
        where TTarget : struct, IConvTarget
    {
        Group.Barrier();
        int at = (((WarpDown * TTile.LanesDown) + LaneDown) * Columns / 4) + (WarpAcross * 2 * LanesAcross) + LaneAcross;
        shared[at] = left;
        shared[at + LanesAcross] = right;
        Group.Barrier();
        var floats = shared.Cast<float>();
        for (int i = Group.IdxX; i < TTile.WarpsDown * TTile.LanesDown * Columns; i += Threads)
        {
            int line = i / Columns;
            int to = (line / TTile.LanesDown * 8 * TTile.LanesDown) + ((line & (TTile.LanesDown - 1)) * 4) + row;
            target.Store(to, i & (Columns - 1), floats[i]);
        }
    }
}

/// <summary>What takes the sums of a tile.</summary>
internal interface IConvTarget
{
    /// <summary>Stores one sum, or nothing where the tile sticks out of the result.</summary>
    void Store(int row, int column, float sum);
}

/// <summary>A thread's sums: two quads of rows by two quads of columns, apart as far as a warp's lanes reach.</summary>
internal struct ConvSums
{
    public EightRows Left, Right;
}
