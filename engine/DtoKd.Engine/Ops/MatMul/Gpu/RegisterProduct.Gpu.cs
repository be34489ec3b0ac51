using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The tile of a product that a group computes, two warps wide.</summary>
internal interface IProductTile
{
    /// <summary>Warps along the rows, of 32 rows each.</summary>
    static abstract int WarpsDown { get; }

    /// <summary>Columns of a warp: 32, or 64 where a thread has two quads of columns.</summary>
    static abstract int WarpColumns { get; }
}

/// <summary>128 x 128 by 256 threads, 8 x 8 each: 64 multiply-adds for four vectors read from shared memory.</summary>
internal readonly struct LargeTile : IProductTile
{
    public static int WarpsDown => 4;

    public static int WarpColumns => 64;
}

/// <summary>64 x 64 by 128 threads, 8 x 4 each: for results that have too few large tiles to fill a card.</summary>
internal readonly struct SmallTile : IProductTile
{
    public static int WarpsDown => 2;

    public static int WarpColumns => 32;
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

    public static int MaxGroupSize => 64 * TTile.WarpsDown;

    public static int Rows => 32 * TTile.WarpsDown;

    public static int Columns => 2 * TTile.WarpColumns;

    private static int PitchA => SliceCopy.Pitch(Rows);

    private static int PitchB => SliceCopy.Pitch(Columns);

    private static int StageLength => Slice * (PitchA + PitchB);

    public static void Run(ProductArgs args)
    {
        var shared = SharedMemory.Allocate<float>(Stages * StageLength);
        var at = new ProductBlock(args, Rows, Columns);
        var left = new SliceCopy(args.A, at.PlaceA, at.Row, Rows, 0);
        var right = new SliceCopy(args.B, at.PlaceB, at.Column, Columns, Slice * PitchA);
        for (int ahead = 0; ahead < Stages - 1; ahead++)
        {
            left.Start(args.A, Rows, shared, ahead * StageLength, at.First + (ahead * Slice), at.End);
            right.Start(args.B, Columns, shared, ahead * StageLength, at.First + (ahead * Slice), at.End);
            Ptx.CommitCopies();
        }

        // Neighbouring lanes differ in columns, the next ones in rows: both operands' reads merge.
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int laneColumn = (lane & 1) | ((lane >> 1) & 6), laneRow = ((lane >> 1) & 1) | ((lane >> 3) & 2);
        int row = Ptx.Keep(((warp >> 1) * 32) + (4 * laneRow));
        int column = Ptx.Keep(((warp & 1) * TTile.WarpColumns) + (4 * laneColumn));
        int atB = Ptx.Keep((Slice * PitchA) + column);
        int read = 0, write = (Stages - 1) * StageLength;
        HalfTile sums = default, more = default;
        for (int k = at.First; k < at.End; k += Slice)
        {
            Ptx.AwaitCopies(Stages - 2);
            Group.Barrier();
            left.Start(args.A, Rows, shared, write, k + ((Stages - 1) * Slice), at.End);
            right.Start(args.B, Columns, shared, write, k + ((Stages - 1) * Slice), at.End);
            Ptx.CommitCopies();
            ref float a = ref shared[row + read], b = ref shared[atB + read];
            MultiplyAdd(ref a, ref b, 0, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 1, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 2, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 3, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 4, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 5, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 6, ref sums, ref more);
            MultiplyAdd(ref a, ref b, 7, ref sums, ref more);
            write = read;
            read = read == (Stages - 1) * StageLength ? 0 : read + StageLength;
        }

        Ptx.AwaitCopies(0);
        var target = new ProductTarget(args, at.Item);
        sums.Store(target, at.Row + row, at.Column + column);
        if (TTile.WarpColumns == 64)
            more.Store(target, at.Row + row, at.Column + column + 32);
    }

    private static void MultiplyAdd(ref float a, ref float b, int p, ref HalfTile sums, ref HalfTile more)
    {
        int atA = p * PitchA * sizeof(float), atB = p * PitchB * sizeof(float);
        Float4 top = Ptx.LoadShared4(ref a, atA), bottom = Ptx.LoadShared4(ref a, atA + (16 * sizeof(float)));
        sums = sums.Plus(top, bottom, Ptx.LoadShared4(ref b, atB));
        if (TTile.WarpColumns == 64)
            more = more.Plus(top, bottom, Ptx.LoadShared4(ref b, atB + (32 * sizeof(float))));
    }
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
