using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The numbers that tensor cores multiply, in words of 32 bits.</summary>
internal interface ITensorNumber
{
    /// <summary>Numbers in a word.</summary>
    static abstract int PerWord { get; }

    /// <summary>Whether words of neighbouring lines are neighbours in memory, not those of one line.</summary>
    static abstract bool IsAcross { get; }

    /// <summary>The word of neighbouring numbers; the second one is left out where a word has one.</summary>
    static abstract uint Pack(float first, float second);

    /// <summary>What words become on their way from shared memory to the tensor cores.</summary>
    static abstract Words4 Round(Words4 words);

    /// <summary>sum + the product of 16 rows and 8 columns over 8 words.</summary>
    static abstract Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum);
}

/// <summary>A float that is rounded when it is multiplied: operands that lie well need not be packed.</summary>
internal readonly struct Tf32 : ITensorNumber
{
    public static int PerWord => 1;

    public static bool IsAcross => false;

    public static uint Pack(float first, float second) => Interop.FloatAsInt(first);

    public static Words4 Round(Words4 words) => new(
        Ptx.RoundToTf32(words.X), Ptx.RoundToTf32(words.Y), Ptx.RoundToTf32(words.Z), Ptx.RoundToTf32(words.W));

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyTf32(left, right, sum);
}

/// <summary><see cref="Tf32"/> of two operands whose lines are neighbours, as in a gradient of weights: none need be packed.</summary>
internal readonly struct AcrossTf32 : ITensorNumber
{
    public static int PerWord => 1;

    public static bool IsAcross => true;

    public static uint Pack(float first, float second) => Tf32.Pack(first, second);

    public static Words4 Round(Words4 words) => Tf32.Round(words);

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyTf32(left, right, sum);
}

/// <summary>Numbers that are rounded when they are packed: words go to the tensor cores as they are.</summary>
internal interface IPackedNumber : ITensorNumber;

/// <summary>TF32 that was rounded as it was packed: a fifth fewer instructions than <see cref="Tf32"/> where both factors are packed.</summary>
internal readonly struct RoundedTf32 : IPackedNumber
{
    public static int PerWord => 1;

    public static bool IsAcross => false;

    public static uint Pack(float first, float second) => Ptx.RoundToTf32(Interop.FloatAsInt(first));

    public static Words4 Round(Words4 words) => words;

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyTf32(left, right, sum);
}

/// <summary>Two numbers of bf16 in a word.</summary>
internal readonly struct Bf16 : IPackedNumber
{
    public static int PerWord => 2;

    public static bool IsAcross => false;

    public static uint Pack(float first, float second) => Ptx.PackBf16(second, first);

    public static Words4 Round(Words4 words) => words;

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyBf16(left, right, sum);
}

/// <summary>The tile of a group, in warps of 64 columns.</summary>
internal interface ITensorTile
{
    /// <summary>Strips of 16 rows of a warp: 2 or 4.</summary>
    static abstract int Strips { get; }

    /// <summary>Warps along the rows.</summary>
    static abstract int WarpsDown { get; }

    /// <summary>Warps along the columns.</summary>
    static abstract int WarpsAcross { get; }
}

/// <summary>128 x 256 by 256 threads: 85 multiply-adds for each number read from the second-level cache.</summary>
internal readonly struct WideTile : ITensorTile
{
    public static int Strips => 4;

    public static int WarpsDown => 2;

    public static int WarpsAcross => 4;
}

/// <summary>128 x 128 by 128 threads, two groups to a processor.</summary>
internal readonly struct SquareTile : ITensorTile
{
    public static int Strips => 4;

    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;
}

/// <summary>64 x 64 by 64 threads: for results that have few larger tiles.</summary>
internal readonly struct NarrowTile : ITensorTile
{
    public static int Strips => 2;

    public static int WarpsDown => 2;

    public static int WarpsAcross => 1;
}

/// <summary>The two factors of a product, as a group copies them into shared memory slice by slice.</summary>
internal interface ITensorFactors
{
    /// <summary>Begins to copy the rows' words of a slice that begins at a word; zeros after the last word.</summary>
    void CopyRows(ArrayView<float> shared, int stage, int word);

    /// <summary>Begins to copy the columns' words of the same slice.</summary>
    void CopyColumns(ArrayView<float> shared, int stage, int word);
}

/// <summary>Where the sums of a tile go.</summary>
internal interface ITensorTarget
{
    /// <summary>Stores the sums of four neighbouring columns, which may be outside of the result.</summary>
    void Store(int row, int column, Float4 sums);
}

/// <summary>
/// A tile on the tensor cores. Both factors are lines of words along the sums, of which a group takes slices of 128 bytes through a
/// ring of buffers in shared memory. There chunk c of 16 bytes of line l lies at chunk c xor (l mod 8): eight lines' chunks, which
/// are read together, are in different banks. Words that lie across lie in shared memory as in global memory, 32 rows of a word of
/// each line and eight words more, for the same reason.
/// </summary>
/// <remarks>Numbers of TF32 and bf16 lie alike in words, so that everything but one instruction is the same for both.</remarks>
internal static class TensorTile<TTile, TNumber>
    where TTile : struct, ITensorTile
    where TNumber : struct, ITensorNumber
{
    /// <summary>Words of a line in a slice.</summary>
    public const int Slice = 32;

    private const int Stages = 3;

    public static int Threads => 32 * TTile.WarpsDown * TTile.WarpsAcross;

    public static int SharedBytes => Stages * StageLength * sizeof(float);

    public static int Rows => 16 * TTile.Strips * TTile.WarpsDown;

    public static int Columns => 64 * TTile.WarpsAcross;

    /// <summary>Lines that a group copies at once, 8 threads for each.</summary>
    public static int Lines => Threads / 8;

    /// <summary>Where in a factor's part of a stage a chunk of a line lies.</summary>
    public static int Place(int line, int chunk) => (Slice * line) + (4 * (chunk ^ (line & 7)));

    /// <summary>Where the columns' words begin in a stage.</summary>
    public static int ColumnsAt => Slice * (Rows + Gap);

    private static int StageLength => Slice * (Rows + Columns + (2 * Gap));

    private static int Gap => TNumber.IsAcross ? 8 : 0;

    // Of the sums in shared memory: four rows of pairs, which half a warp stores together, are in different banks.
    private static int Pitch => Columns + 8;

    /// <summary>Computes the tile and stores it; all threads of the group take part.</summary>
    /// <param name="factors">What copies the factors.</param>
    /// <param name="target">What takes the sums.</param>
    /// <param name="first">The first word of the sums.</param>
    /// <param name="end">The word after the last.</param>
    public static void Run<TFactors, TTarget>(TFactors factors, TTarget target, int first, int end)
        where TFactors : struct, ITensorFactors
        where TTarget : struct, ITensorTarget
    {
        // Of vectors, so that it begins at a multiple of 16 bytes.
        var shared = SharedMemory.GetDynamic<Float4>().Cast<float>();
        for (int ahead = 0; ahead < Stages - 1; ahead++)
        {
            factors.CopyRows(shared, ahead * StageLength, first + (ahead * Slice));
            factors.CopyColumns(shared, (ahead * StageLength) + ColumnsAt, first + (ahead * Slice));
            Ptx.CommitCopies();
        }

        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int row = Ptx.Keep(warp / TTile.WarpsAcross * 16 * TTile.Strips);
        int column = Ptx.Keep((warp & (TTile.WarpsAcross - 1)) * 64);
        int a0 = Ptx.Keep(LeftAt(lane, row, 0)), a1 = Ptx.Keep(LeftAt(lane, row, 1));
        int a2 = Ptx.Keep(LeftAt(lane, row, 2)), a3 = Ptx.Keep(LeftAt(lane, row, 3));
        int b0 = Ptx.Keep(RightAt(lane, column, 0)), b1 = Ptx.Keep(RightAt(lane, column, 1));
        int b2 = Ptx.Keep(RightAt(lane, column, 2)), b3 = Ptx.Keep(RightAt(lane, column, 3));
        int read = 0, write = (Stages - 1) * StageLength;
        WarpSums sums = default;
        for (int k = first; k < end; k += Slice)
        {
            Ptx.AwaitCopies(Stages - 2);
            Group.Barrier();
            // Between the steps: the tensor cores work while addresses are computed.
            sums = Step(ref shared[a0 + read], ref shared[b0 + read], sums);
            factors.CopyRows(shared, write, k + ((Stages - 1) * Slice));
            sums = Step(ref shared[a1 + read], ref shared[b1 + read], sums);
            factors.CopyColumns(shared, write + ColumnsAt, k + ((Stages - 1) * Slice));
            Ptx.CommitCopies();
            sums = Step(ref shared[a2 + read], ref shared[b2 + read], sums);
            sums = Step(ref shared[a3 + read], ref shared[b3 + read], sums);
            write = read;
            read = read == (Stages - 1) * StageLength ? 0 : read + StageLength;
        }

        // The sums go through shared memory: a warp then stores whole rows, four columns a thread.
        Ptx.AwaitCopies(0);
        Group.Barrier();
        int to = ((row + (lane >> 2)) * Pitch) + column + (2 * (lane & 3));
        sums.A.Store(ref shared[to], Pitch);
        sums.B.Store(ref shared[to + (16 * Pitch)], Pitch);
        if (TTile.Strips == 4)
        {
            sums.C.Store(ref shared[to + (32 * Pitch)], Pitch);
            sums.D.Store(ref shared[to + (48 * Pitch)], Pitch);
        }

        Group.Barrier();
        int quad = 4 * (Group.IdxX & ((Columns / 4) - 1));
        for (int i = Group.IdxX / (Columns / 4); i < Rows; i += Threads / (Columns / 4))
            target.Store(i, quad, Ptx.LoadShared4(ref shared[(i * Pitch) + quad], 0));
    }

    /// <summary>Begins to copy a slice of a tile's lines that lie one like another in memory; those beyond the last are copies of it.</summary>
    public static void CopyLines(
        ProductOperand operand, int place, int first, int lines, ArrayView<float> shared, int stage, int word, int end)
    {
        CopyHalf(operand, place, first, shared, stage, word, end, 0);
        if (lines / Lines == 8)
            CopyHalf(operand, place, first, shared, stage, word, end, 4);
    }

    /// <summary>Begins to copy a slice of a tile's lines that are neighbours in memory.</summary>
    public static void CopyAcross(
        ProductOperand operand, int place, int first, int lines, ArrayView<float> shared, int stage, int term, int end)
    {
        int quads = lines / 4, line = 4 * (Group.IdxX & (quads - 1)), own = Group.IdxX / quads;
        place += IntrinsicMath.Min(first + line, operand.Lines - 4);
        ref float to = ref shared[stage + (own * (lines + Gap)) + line];
        term += own;
        CopyFour(ref to, 0, operand, place, lines, term, end);
        if (Slice / (Threads / quads) == 8)
            CopyFour(ref to, 4, operand, place, lines, term, end);
    }

    private static void CopyFour(ref float to, int turn, ProductOperand operand, int place, int lines, int term, int end)
    {
        // Terms that the group copies at once.
        int terms = Threads / (lines / 4), bytes = terms * (lines + Gap) * sizeof(float);
        CopyTerm(ref to, turn * bytes, operand, place, term + (turn * terms), end);
        CopyTerm(ref to, (turn + 1) * bytes, operand, place, term + ((turn + 1) * terms), end);
        CopyTerm(ref to, (turn + 2) * bytes, operand, place, term + ((turn + 2) * terms), end);
        CopyTerm(ref to, (turn + 3) * bytes, operand, place, term + ((turn + 3) * terms), end);
    }

    private static void CopyTerm(ref float to, int bytes, ProductOperand operand, int place, int term, int end)
    {
        bool isInside = term < end;
        Ptx.CopyAsync4(ref to, bytes, ref operand.X[place + (isInside ? term * operand.Term : 0)], 4 * sizeof(float), isInside ? 4 * sizeof(float) : 0);
    }

    private static void CopyHalf(ProductOperand operand, int place, int first, ArrayView<float> shared, int stage, int word, int end, int turn)
    {
        int chunk = Group.IdxX & 7, line = Group.IdxX >> 3;
        word += 4 * chunk;
        // Lines are of whole chunks.
        bool isInside = word < end;
        int read = isInside ? 4 * sizeof(float) : 0;
        place += isInside ? word : 0;
        ref float to = ref shared[stage + Place(line, chunk)];
        line += first + (turn * Lines);
        int last = operand.Lines - 1, bytes = turn * Lines * Slice * sizeof(float);
        Copy(ref to, bytes, operand, place, IntrinsicMath.Min(line, last), read);
        Copy(ref to, bytes + (Lines * Slice * sizeof(float)), operand, place, IntrinsicMath.Min(line + Lines, last), read);
        Copy(ref to, bytes + (2 * Lines * Slice * sizeof(float)), operand, place, IntrinsicMath.Min(line + (2 * Lines), last), read);
        Copy(ref to, bytes + (3 * Lines * Slice * sizeof(float)), operand, place, IntrinsicMath.Min(line + (3 * Lines), last), read);
    }

    private static void Copy(ref float to, int bytes, ProductOperand operand, int place, int line, int read) =>
        Ptx.CopyAsync4(ref to, bytes, ref operand.X[place + (line * operand.Line)], 4 * sizeof(float), read);

    /// <summary>Where the lane's part of a warp's rows begins in a stage, for eight of a slice's words.</summary>
    private static int LeftAt(int lane, int row, int step)
    {
        if (TNumber.IsAcross)
            return (((8 * step) + (lane & 3)) * (Rows + Gap)) + row + (lane >> 2);
        // Matrices of a strip: rows 0 - 7 and 8 - 15 of the first chunk, then of the second.
        return Place(row + (lane & 15), (2 * step) + (lane >> 4));
    }

    /// <summary>As <see cref="LeftAt"/>, of a warp's columns.</summary>
    private static int RightAt(int lane, int column, int step)
    {
        if (TNumber.IsAcross)
            return ColumnsAt + (((8 * step) + (lane & 3)) * (Columns + Gap)) + column + (lane >> 2);
        // Both chunks of columns 0 - 7, then of 8 - 15.
        return ColumnsAt + Place(column + (lane & 7) + ((lane >> 4) * 8), (2 * step) + ((lane >> 3) & 1));
    }

    /// <summary>8 words of 16 rows.</summary>
    private static Words4 Left(ref float at, int strip)
    {
        if (!TNumber.IsAcross)
            return TNumber.Round(Ptx.LoadMatrices(ref at, strip * 16 * Slice * sizeof(float)));
        const int Below = 8 * sizeof(float);
        int first = strip * 2 * Below, second = first + (4 * (Rows + Gap) * sizeof(float));
        return TNumber.Round(new(
            Ptx.LoadShared(ref at, first),
            Ptx.LoadShared(ref at, first + Below),
            Ptx.LoadShared(ref at, second),
            Ptx.LoadShared(ref at, second + Below)));
    }

    /// <summary>8 words of 16 columns.</summary>
    private static Words4 Right(ref float at, int part)
    {
        if (!TNumber.IsAcross)
            return TNumber.Round(Ptx.LoadMatrices(ref at, part * 16 * Slice * sizeof(float)));
        const int Beside = 8 * sizeof(float);
        int first = part * 2 * Beside, second = first + (4 * (Columns + Gap) * sizeof(float));
        return TNumber.Round(new(
            Ptx.LoadShared(ref at, first),
            Ptx.LoadShared(ref at, second),
            Ptx.LoadShared(ref at, first + Beside),
            Ptx.LoadShared(ref at, second + Beside)));
    }

    /// <summary>8 words of the sums.</summary>
    private static WarpSums Step(ref float a, ref float b, WarpSums sums)
    {
        var columns = new WarpColumns { A = Right(ref b, 0), B = Right(ref b, 1), C = Right(ref b, 2), D = Right(ref b, 3) };
        Words4 rows = Left(ref a, 0), next = Left(ref a, 1);
        sums.A = sums.A.Plus<TNumber>(rows, columns);
        if (TTile.Strips == 4)
            rows = Left(ref a, 2);
        sums.B = sums.B.Plus<TNumber>(next, columns);
        if (TTile.Strips == 4)
        {
            next = Left(ref a, 3);
            sums.C = sums.C.Plus<TNumber>(rows, columns);
            sums.D = sums.D.Plus<TNumber>(next, columns);
        }

        return sums;
    }
}

/// <summary>8 words of 64 columns: 16 columns in each field.</summary>
internal struct WarpColumns
{
    public Words4 A, B, C, D;
}

/// <summary>The sums of a warp: strips of 16 rows.</summary>
internal struct WarpSums
{
    public Strip A, B, C, D;
}

/// <summary>16 rows of 64 columns, eight at a time.</summary>
internal struct Strip
{
    private Float4 _a, _b, _c, _d, _e, _f, _g, _h;

    public readonly Strip Plus<TNumber>(Words4 rows, WarpColumns columns)
        where TNumber : struct, ITensorNumber => new()
        {
            _a = TNumber.MultiplyAdd(rows, new(columns.A.X, columns.A.Y), _a),
            _b = TNumber.MultiplyAdd(rows, new(columns.A.Z, columns.A.W), _b),
            _c = TNumber.MultiplyAdd(rows, new(columns.B.X, columns.B.Y), _c),
            _d = TNumber.MultiplyAdd(rows, new(columns.B.Z, columns.B.W), _d),
            _e = TNumber.MultiplyAdd(rows, new(columns.C.X, columns.C.Y), _e),
            _f = TNumber.MultiplyAdd(rows, new(columns.C.Z, columns.C.W), _f),
            _g = TNumber.MultiplyAdd(rows, new(columns.D.X, columns.D.Y), _g),
            _h = TNumber.MultiplyAdd(rows, new(columns.D.Z, columns.D.W), _h),
        };

    /// <summary>Stores the lane's sums from its first one on; they are in rows 0 and 8.</summary>
    public readonly void Store(ref float to, int pitch)
    {
        int below = 8 * pitch * sizeof(float);
        Store(ref to, 0, below, _a);
        Store(ref to, 32, below, _b);
        Store(ref to, 64, below, _c);
        Store(ref to, 96, below, _d);
        Store(ref to, 128, below, _e);
        Store(ref to, 160, below, _f);
        Store(ref to, 192, below, _g);
        Store(ref to, 224, below, _h);
    }

    private static void Store(ref float to, int bytes, int below, Float4 sums)
    {
        Ptx.StoreShared2(ref to, bytes, new Float2(sums.X, sums.Y));
        Ptx.StoreShared2(ref to, bytes + below, new Float2(sums.Z, sums.W));
    }
}
