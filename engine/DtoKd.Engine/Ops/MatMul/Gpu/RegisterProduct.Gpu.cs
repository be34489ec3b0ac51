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
        EightRows sums = default, more = default;
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
        Store(target, sums, at.Row + row, at.Column + column);
        if (TTile.WarpColumns == 64)
            Store(target, more, at.Row + row, at.Column + column + 32);
    }

    private static void MultiplyAdd(ref float a, ref float b, int p, ref EightRows sums, ref EightRows more)
    {
        int atA = p * PitchA * sizeof(float), atB = p * PitchB * sizeof(float);
        Float4 top = Ptx.LoadShared4(ref a, atA), bottom = Ptx.LoadShared4(ref a, atA + (16 * sizeof(float)));
        sums = sums.Plus(top, bottom, Ptx.LoadShared4(ref b, atB));
        if (TTile.WarpColumns == 64)
            more = more.Plus(top, bottom, Ptx.LoadShared4(ref b, atB + (32 * sizeof(float))));
    }

    private static void Store(ProductTarget target, EightRows sums, int row, int column)
    {
        target.Store(row, column, sums.A);
        target.Store(row + 1, column, sums.B);
        target.Store(row + 2, column, sums.C);
        target.Store(row + 3, column, sums.D);
        target.Store(row + 16, column, sums.E);
        target.Store(row + 17, column, sums.F);
        target.Store(row + 18, column, sums.G);
        target.Store(row + 19, column, sums.H);
    }
}

/// <summary>A thread's sums: four neighbouring columns of two quads of rows.</summary>
internal struct EightRows
{
    public Float4 A, B, C, D, E, F, G, H;

    /// <summary>The sum with the outer product of a column, in two parts, and a row.</summary>
    public readonly EightRows Plus(Float4 top, Float4 bottom, Float4 row) => new()
    {
        A = Float4.MultiplyAdd(top.X, row, A),
        B = Float4.MultiplyAdd(top.Y, row, B),
        C = Float4.MultiplyAdd(top.Z, row, C),
        D = Float4.MultiplyAdd(top.W, row, D),
        E = Float4.MultiplyAdd(bottom.X, row, E),
        F = Float4.MultiplyAdd(bottom.Y, row, F),
        G = Float4.MultiplyAdd(bottom.Z, row, G),
        H = Float4.MultiplyAdd(bottom.W, row, H),
    };
}
