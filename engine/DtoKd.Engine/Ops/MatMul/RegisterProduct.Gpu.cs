using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The tile of a product that a group computes.</summary>
internal interface IProductTile
{
    /// <summary>Warps along the rows.</summary>
    static abstract int WarpsDown { get; }

    /// <summary>Warps along the columns.</summary>
    static abstract int WarpsAcross { get; }

    /// <summary>
    /// Whether a thread has 16 x 8 sums, a warp 64 x 64, else 8 x 4 and 32 x 32. An SM 9.0 takes as long to read four vectors from
    /// shared memory for 8 x 8 sums as to compute them; six for 16 x 8 leave it a quarter of the time.
    /// </summary>
    static abstract bool IsDense { get; }
}

/// <summary>128 x 128 by 128 threads.</summary>
internal readonly struct LargeTile : IProductTile
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;

    public static bool IsDense => true;
}

/// <summary>128 x 64 by 64 threads: for columns that fill no larger tile.</summary>
internal readonly struct TallTile : IProductTile
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 1;

    public static bool IsDense => true;
}

/// <summary>64 x 64 by 128 threads: for results that have too few larger tiles to fill a card.</summary>
internal readonly struct SmallTile : IProductTile
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;

    public static bool IsDense => false;
}

/// <summary>
/// A product of single precision of any strides. A group takes slices of 8 of the inner axis through a ring of buffers in
/// shared memory that asynchronous copies fill three slices ahead, one barrier a slice. Each sum runs in the order of the inner
/// axis.
/// </summary>
internal readonly struct RegisterProduct<TTile> : IKernel<ProductArgs>
    where TTile : struct, IProductTile
{
    /// <summary>Terms of the sums in a slice.</summary>
    public const int Slice = 8;

    private const int Stages = 4;

    public static int MaxGroupSize => 32 * TTile.WarpsDown * TTile.WarpsAcross;

    public static int Rows => WarpSide * TTile.WarpsDown;

    public static int Columns => WarpSide * TTile.WarpsAcross;

    private static int WarpSide => TTile.IsDense ? 64 : 32;

    private static int PitchA => SliceCopy.Pitch(Rows);

    private static int PitchB => SliceCopy.Pitch(Columns);

    private static int StageLength => Slice * (PitchA + PitchB);

    // Lines that one copy moves: as many as there are threads, or half as many.
    private static int LinesA => IntrinsicMath.Min(Rows, MaxGroupSize);

    public static void Run(ProductArgs args)
    {
        var shared = SharedMemory.Allocate<float>(Stages * StageLength);
        var at = new ProductBlock(args, Rows, Columns);
        var left = new SliceCopy(args.A, at.PlaceA, at.Row, LinesA, MaxGroupSize, PitchA, 0);
        var below = new SliceCopy(args.A, at.PlaceA, at.Row + LinesA, LinesA, MaxGroupSize, PitchA, LinesA);
        var right = new SliceCopy(args.B, at.PlaceB, at.Column, Columns, MaxGroupSize, PitchB, Slice * PitchA);
        for (int ahead = 0; ahead < Stages - 1; ahead++)
            Copy(args, left, below, right, shared, ahead * StageLength, at.First + (ahead * Slice), at.End);

        // Neighbouring lanes differ in columns, the next ones in rows: both operands' reads merge.
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int laneColumn = (lane & 1) | ((lane >> 1) & 6), laneRow = ((lane >> 1) & 1) | ((lane >> 3) & 2);
        int warpRow = TTile.WarpsAcross == 2 ? warp >> 1 : warp, warpColumn = TTile.WarpsAcross == 2 ? warp & 1 : 0;
        int row = Ptx.Keep((warpRow * WarpSide) + (4 * laneRow));
        int column = Ptx.Keep((warpColumn * WarpSide) + (4 * laneColumn));
        int atB = Ptx.Keep((Slice * PitchA) + column);
        int read = 0, write = (Stages - 1) * StageLength;
        ThreadTile sums = default;
        for (int k = at.First; k < at.End; k += Slice)
        {
            Ptx.AwaitCopies(Stages - 2);
            Group.Barrier();
            Copy(args, left, below, right, shared, write, k + ((Stages - 1) * Slice), at.End);
            ref float a = ref shared[row + read], b = ref shared[atB + read];
            sums = Plus(ref a, ref b, 0, sums);
            sums = Plus(ref a, ref b, 1, sums);
            sums = Plus(ref a, ref b, 2, sums);
            sums = Plus(ref a, ref b, 3, sums);
            sums = Plus(ref a, ref b, 4, sums);
            sums = Plus(ref a, ref b, 5, sums);
            sums = Plus(ref a, ref b, 6, sums);
            sums = Plus(ref a, ref b, 7, sums);
            write = read;
            read = read == (Stages - 1) * StageLength ? 0 : read + StageLength;
        }

        Ptx.AwaitCopies(0);
        var target = new ProductTarget(args, at.Item);
        row += at.Row;
        column += at.Column;
        sums.TopLeft.Store(target, row, column);
        if (TTile.IsDense)
        {
            sums.TopRight.Store(target, row, column + 32);
            sums.BottomLeft.Store(target, row + 32, column);
            sums.BottomRight.Store(target, row + 32, column + 32);
        }
    }

    private static void Copy(
        ProductArgs args, SliceCopy left, SliceCopy below, SliceCopy right, ArrayView<float> shared, int stage, int term, int end)
    {
        left.Start(args.A, LinesA, MaxGroupSize, PitchA, shared, stage, term, end);
        if (LinesA < Rows)
            below.Start(args.A, LinesA, MaxGroupSize, PitchA, shared, stage, term, end);
        right.Start(args.B, Columns, MaxGroupSize, PitchB, shared, stage, term, end);
        Ptx.CommitCopies();
    }

    /// <summary>The sums with term <paramref name="p"/> of the slice.</summary>
    private static ThreadTile Plus(ref float a, ref float b, int p, ThreadTile sums)
    {
        const int Apart = 16 * sizeof(float);
        int atA = p * PitchA * sizeof(float), atB = p * PitchB * sizeof(float);
        Float4 first = Ptx.LoadShared4(ref b, atB), second = default;
        Float4 one = Ptx.LoadShared4(ref a, atA), two = Ptx.LoadShared4(ref a, atA + Apart);
        sums.TopLeft = sums.TopLeft.Plus(one, two, first);
        if (!TTile.IsDense)
            return sums;
        second = Ptx.LoadShared4(ref b, atB + (2 * Apart));
        sums.TopRight = sums.TopRight.Plus(one, two, second);
        one = Ptx.LoadShared4(ref a, atA + (2 * Apart));
        two = Ptx.LoadShared4(ref a, atA + (3 * Apart));
        sums.BottomRight = sums.BottomRight.Plus(one, two, second);
        sums.BottomLeft = sums.BottomLeft.Plus(one, two, first);
        return sums;
    }
}

/// <summary>A thread's sums; the first part alone where it has 8 x 4.</summary>
internal struct ThreadTile
{
    public HalfTile TopLeft, TopRight, BottomLeft, BottomRight;
}

/// <summary>Rows row .. row + 3 and row + 16 .. row + 19 of four columns.</summary>
internal struct HalfTile
{
    private Float4 _a, _b, _c, _d, _e, _f, _g, _h;

    /// <summary>The sum with the outer product of a column, in two parts, and a row.</summary>
    public readonly HalfTile Plus(Float4 top, Float4 bottom, Float4 row) => new()
    {
        _a = Float4.MultiplyAdd(top.X, row, _a),
        _b = Float4.MultiplyAdd(top.Y, row, _b),
        _c = Float4.MultiplyAdd(top.Z, row, _c),
        _d = Float4.MultiplyAdd(top.W, row, _d),
        _e = Float4.MultiplyAdd(bottom.X, row, _e),
        _f = Float4.MultiplyAdd(bottom.Y, row, _f),
        _g = Float4.MultiplyAdd(bottom.Z, row, _g),
        _h = Float4.MultiplyAdd(bottom.W, row, _h),
    };

    public readonly void Store(ProductTarget target, int row, int column)
    {
        target.Store(row, column, _a);
        target.Store(row + 1, column, _b);
        target.Store(row + 2, column, _c);
        target.Store(row + 3, column, _d);
        target.Store(row + 16, column, _e);
        target.Store(row + 17, column, _f);
        target.Store(row + 18, column, _g);
        target.Store(row + 19, column, _h);
    }
}
