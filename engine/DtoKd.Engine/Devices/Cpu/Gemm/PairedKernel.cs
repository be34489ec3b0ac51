using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// 12 x 32 on a processor that adds beside its multiply-adds: of three steps along K, two share one multiply-add and take two additions,
/// a0 b0 + a1 b1 = (a0 + b1)(a1 + b0) - a0 a1 - b0 b1. What is subtracted is one number for each line, made while lines are packed.
/// </summary>
/// <remarks>
/// S. Winograd, "A New Algorithm for Inner Product", IEEE Transactions on Computers C-17 (1968). He saved multiplications; here the
/// additions are free: AMD's Zen 4 and 5 have two units that multiply and add and two that only add, and three steps keep all of them busy
/// for the time of two. Where additions and multiply-adds share their units this is slower than <see cref="Avx512Kernel"/>.
/// <see cref="PairedPanel"/> says what keeps the sums as exact as plain ones.
/// </remarks>
internal readonly unsafe struct PairedKernel<TReads> : IMicroKernel
    where TReads : struct, IRowReads
{
    private const int Width = 16;
    private const int Height = 12;

    public static int Rows => Height;

    public static int Columns => 2 * Width;

    // A block of 144 x 384 floats takes 225 to 290 KiB. The next one's rows, a panel of B and C share the L2 of 1 MiB with it: with 216
    // lines products took 2 to 6 % longer.
    public static int BlockLines => 12 * Height;

    public static int RowStep => Height;

    public static int ColumnStep => 2 * Width;

    public static bool ReadsScatteredRows => false;

    public static bool ReadsInPlace => false;

    public static int PanelLength(int width, int depth) => width == Height
        ? Math.Max(Height * PairedPanel.RowStride, Width * depth) + (2 * Width)
        : PairedPanel.Length(width, depth);

    public static long PackedRowStride(long stepStride) => stepStride == 1 ? PairedPanel.RowStride : 1;

    public static void Pack(float* source, long lineStride, long stepStride, int lines, int depth, int width, float* target)
    {
        int lanes = width == Height ? Width : width;
        // As PackedRowStride has it: of a single row, lines and steps may both be one element apart.
        bool liesInRows = width == Height && stepStride == 1;
        if (lineStride == 1 && !liesInRows)
        {
            PairedPanel.CopySteps(source, stepStride, lines, depth, width, lanes, target, PanelLength(width, depth));
            return;
        }

        for (int line = 0; line < lines; line += width)
        {
            int inside = Math.Min(width, lines - line);
            if (liesInRows)
                PairedPanel.FillRows(source, lineStride, inside, depth, target, target + (Height * PairedPanel.RowStride));
            else
                PairedPanel.FillSteps(source, lineStride, stepStride, inside, depth, lanes, target);
            source += width * lineStride;
            target += PanelLength(width, depth);
        }
    }

    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue)
    {
        if (panels.ARowStride == 1)
            Sums(depth, panels, c, cStride, epilogue, default(WholeTile<Twelve>), default(Steps));
        else
            Sums(depth, panels, c, cStride, epilogue, default(WholeTile<Twelve>), default(Apart));
    }

    public static void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns)
    {
        if (panels.ARowStride == 1)
            Edge(depth, panels, c, cStride, epilogue, rows, columns, default(Steps));
        else
            Edge(depth, panels, c, cStride, epilogue, rows, columns, default(Apart));
    }

    private static void Edge<TRows>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns, TRows lie)
        where TRows : struct, IRows
    {
        switch ((rows + 3) / 4, columns <= Width)
        {
            case (1, true): Sums(depth, panels, c, cStride, epilogue, new TilePart<Four, One>(rows, columns), lie); break;
            case (2, true): Sums(depth, panels, c, cStride, epilogue, new TilePart<Eight, One>(rows, columns), lie); break;
            case (3, true): Sums(depth, panels, c, cStride, epilogue, new TilePart<Twelve, One>(rows, columns), lie); break;
            case (1, false): Sums(depth, panels, c, cStride, epilogue, new TilePart<Four, Two>(rows, columns), lie); break;
            case (2, false): Sums(depth, panels, c, cStride, epilogue, new TilePart<Eight, Two>(rows, columns), lie); break;
            default: Sums(depth, panels, c, cStride, epilogue, new TilePart<Twelve, Two>(rows, columns), lie); break;
        }
    }

    // Named scalars, because the JIT keeps an array of vectors in memory; no tiering, because the loop is the whole cost.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sums<TEdge, TRows>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, TEdge edge, TRows lie)
        where TEdge : struct, IAvx512Edge
        where TRows : struct, IRows
    {
        float* a = panels.A, b = panels.B;
        float* aFactors = a + TRows.Length(depth), bFactors = b + (depth * Columns);
        var fetch = panels.Fetch;
        float* next = fetch != null ? fetch->At : a, rowEnd = fetch != null ? fetch->RowEnd : (float*)nuint.MaxValue;
        long nextStep = fetch != null ? PrefetchedBlock.LineElements : 0;
        long ahead = 0, lastRow = (edge.Rows - 1) * cStride;
        float* companion = c + epilogue.Companion;
        Vector512<float> c00 = default, c01 = default;
        Vector512<float> c10 = default, c11 = default;
        Vector512<float> c20 = default, c21 = default;
        Vector512<float> c30 = default, c31 = default;
        Vector512<float> c40 = default, c41 = default;
        Vector512<float> c50 = default, c51 = default;
        Vector512<float> c60 = default, c61 = default;
        Vector512<float> c70 = default, c71 = default;
        Vector512<float> c80 = default, c81 = default;
        Vector512<float> c90 = default, c91 = default;
        Vector512<float> cA0 = default, cA1 = default;
        Vector512<float> cB0 = default, cB1 = default;

        int rest = depth % PairedPanel.Group;
        for (int groups = depth / PairedPanel.Group; groups > 0; groups--)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch1(next);
                next += nextStep;
                if (next >= rowEnd)
                {
                    next = fetch->NextRow();
                    rowEnd = fetch->RowEnd;
                }

                // As in Avx512Kernel.
                Sse.Prefetch1(companion + ahead);
                Sse.Prefetch1(companion + ahead + (2 * Width) - 1);
                ahead = (ahead + cStride) & ((ahead - lastRow) >> 63);
            }

            var b00 = Vector512.Load(b);
            var b01 = TEdge.IsWide ? Vector512.Load(b + Width) : default;
            var b10 = Vector512.Load(b + Columns);
            var b11 = TEdge.IsWide ? Vector512.Load(b + Columns + Width) : default;
            Pair<TEdge, TRows>(a, 0, b00, b01, b10, b11, ref c00, ref c01);
            Pair<TEdge, TRows>(a, 1, b00, b01, b10, b11, ref c10, ref c11);
            Pair<TEdge, TRows>(a, 2, b00, b01, b10, b11, ref c20, ref c21);
            Pair<TEdge, TRows>(a, 3, b00, b01, b10, b11, ref c30, ref c31);

            if (TEdge.Height > 4)
            {
                Pair<TEdge, TRows>(a, 4, b00, b01, b10, b11, ref c40, ref c41);
                Pair<TEdge, TRows>(a, 5, b00, b01, b10, b11, ref c50, ref c51);
                Pair<TEdge, TRows>(a, 6, b00, b01, b10, b11, ref c60, ref c61);
                Pair<TEdge, TRows>(a, 7, b00, b01, b10, b11, ref c70, ref c71);
            }

            if (TEdge.Height > 8)
            {
                Pair<TEdge, TRows>(a, 8, b00, b01, b10, b11, ref c80, ref c81);
                Pair<TEdge, TRows>(a, 9, b00, b01, b10, b11, ref c90, ref c91);
                Pair<TEdge, TRows>(a, 10, b00, b01, b10, b11, ref cA0, ref cA1);
                Pair<TEdge, TRows>(a, 11, b00, b01, b10, b11, ref cB0, ref cB1);
            }

            b00 = Vector512.Load(b + (2 * Columns));
            b01 = TEdge.IsWide ? Vector512.Load(b + (2 * Columns) + Width) : default;
            One<TEdge, TRows>(a, 0, 2, b00, b01, ref c00, ref c01);
            One<TEdge, TRows>(a, 1, 2, b00, b01, ref c10, ref c11);
            One<TEdge, TRows>(a, 2, 2, b00, b01, ref c20, ref c21);
            One<TEdge, TRows>(a, 3, 2, b00, b01, ref c30, ref c31);

            if (TEdge.Height > 4)
            {
                One<TEdge, TRows>(a, 4, 2, b00, b01, ref c40, ref c41);
                One<TEdge, TRows>(a, 5, 2, b00, b01, ref c50, ref c51);
                One<TEdge, TRows>(a, 6, 2, b00, b01, ref c60, ref c61);
                One<TEdge, TRows>(a, 7, 2, b00, b01, ref c70, ref c71);
            }

            if (TEdge.Height > 8)
            {
                One<TEdge, TRows>(a, 8, 2, b00, b01, ref c80, ref c81);
                One<TEdge, TRows>(a, 9, 2, b00, b01, ref c90, ref c91);
                One<TEdge, TRows>(a, 10, 2, b00, b01, ref cA0, ref cA1);
                One<TEdge, TRows>(a, 11, 2, b00, b01, ref cB0, ref cB1);
            }

            a += TRows.At(0, PairedPanel.Group);
            b += PairedPanel.Group * Columns;
        }

        for (; rest > 0; rest--)
        {
            var b0 = Vector512.Load(b);
            var b1 = TEdge.IsWide ? Vector512.Load(b + Width) : default;
            One<TEdge, TRows>(a, 0, 0, b0, b1, ref c00, ref c01);
            One<TEdge, TRows>(a, 1, 0, b0, b1, ref c10, ref c11);
            One<TEdge, TRows>(a, 2, 0, b0, b1, ref c20, ref c21);
            One<TEdge, TRows>(a, 3, 0, b0, b1, ref c30, ref c31);

            if (TEdge.Height > 4)
            {
                One<TEdge, TRows>(a, 4, 0, b0, b1, ref c40, ref c41);
                One<TEdge, TRows>(a, 5, 0, b0, b1, ref c50, ref c51);
                One<TEdge, TRows>(a, 6, 0, b0, b1, ref c60, ref c61);
                One<TEdge, TRows>(a, 7, 0, b0, b1, ref c70, ref c71);
            }

            if (TEdge.Height > 8)
            {
                One<TEdge, TRows>(a, 8, 0, b0, b1, ref c80, ref c81);
                One<TEdge, TRows>(a, 9, 0, b0, b1, ref c90, ref c91);
                One<TEdge, TRows>(a, 10, 0, b0, b1, ref cA0, ref cA1);
                One<TEdge, TRows>(a, 11, 0, b0, b1, ref cB0, ref cB1);
            }

            a += TRows.At(0, 1);
            b += Columns;
        }

        if (fetch != null)
            fetch->At = next;
        bool add = epilogue.AddC;
        var left = epilogue.Bias != null ? edge.Load(epilogue.Bias, 0) : Vector512.Create(-0f);
        var right = epilogue.Bias != null && TEdge.IsWide ? edge.Load(epilogue.Bias + Width, Width) : Vector512.Create(-0f);
        Finish(c00, aFactors, bFactors, left, c, 0, 0, add, edge);
        Finish(c01, aFactors, bFactors, right, c + Width, 0, Width, add, edge);
        Finish(c10, aFactors, bFactors, left, c + cStride, 1, 0, add, edge);
        Finish(c11, aFactors, bFactors, right, c + cStride + Width, 1, Width, add, edge);
        Finish(c20, aFactors, bFactors, left, c + 2 * cStride, 2, 0, add, edge);
        Finish(c21, aFactors, bFactors, right, c + 2 * cStride + Width, 2, Width, add, edge);
        Finish(c30, aFactors, bFactors, left, c + 3 * cStride, 3, 0, add, edge);
        Finish(c31, aFactors, bFactors, right, c + 3 * cStride + Width, 3, Width, add, edge);
        Finish(c40, aFactors, bFactors, left, c + 4 * cStride, 4, 0, add, edge);
        Finish(c41, aFactors, bFactors, right, c + 4 * cStride + Width, 4, Width, add, edge);
        Finish(c50, aFactors, bFactors, left, c + 5 * cStride, 5, 0, add, edge);
        Finish(c51, aFactors, bFactors, right, c + 5 * cStride + Width, 5, Width, add, edge);
        Finish(c60, aFactors, bFactors, left, c + 6 * cStride, 6, 0, add, edge);
        Finish(c61, aFactors, bFactors, right, c + 6 * cStride + Width, 6, Width, add, edge);
        Finish(c70, aFactors, bFactors, left, c + 7 * cStride, 7, 0, add, edge);
        Finish(c71, aFactors, bFactors, right, c + 7 * cStride + Width, 7, Width, add, edge);
        Finish(c80, aFactors, bFactors, left, c + 8 * cStride, 8, 0, add, edge);
        Finish(c81, aFactors, bFactors, right, c + 8 * cStride + Width, 8, Width, add, edge);
        Finish(c90, aFactors, bFactors, left, c + 9 * cStride, 9, 0, add, edge);
        Finish(c91, aFactors, bFactors, right, c + 9 * cStride + Width, 9, Width, add, edge);
        Finish(cA0, aFactors, bFactors, left, c + 10 * cStride, 10, 0, add, edge);
        Finish(cA1, aFactors, bFactors, right, c + 10 * cStride + Width, 10, Width, add, edge);
        Finish(cB0, aFactors, bFactors, left, c + 11 * cStride, 11, 0, add, edge);
        Finish(cB1, aFactors, bFactors, right, c + 11 * cStride + Width, 11, Width, add, edge);
    }

    /// <summary>Two steps along K of one row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pair<TEdge, TRows>(
        float* a, int row, Vector512<float> b00, Vector512<float> b01, Vector512<float> b10, Vector512<float> b11, ref Vector512<float> left,
        ref Vector512<float> right)
        where TEdge : struct, IAvx512Edge
        where TRows : struct, IRows
    {
        Vector512<float> a0 = TReads.First(a, TRows.At(row, 0)), a1 = TReads.First(a, TRows.At(row, 1));
        left = Vector512.FusedMultiplyAdd(a0 + b10, a1 + b00, left);
        if (!TEdge.IsWide)
            return;
        a0 = TReads.Second(a0, a, TRows.At(row, 0));
        a1 = TReads.Second(a1, a, TRows.At(row, 1));
        right = Vector512.FusedMultiplyAdd(a0 + b11, a1 + b01, right);
    }

    /// <summary>One step along K of one row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void One<TEdge, TRows>(
        float* a, int row, int step, Vector512<float> b0, Vector512<float> b1, ref Vector512<float> left, ref Vector512<float> right)
        where TEdge : struct, IAvx512Edge
        where TRows : struct, IRows
    {
        var x = TReads.First(a, TRows.At(row, step));
        left = Vector512.FusedMultiplyAdd(x, b0, left);
        if (TEdge.IsWide)
            right = Vector512.FusedMultiplyAdd(TReads.Second(x, a, TRows.At(row, step)), b1, right);
    }

    /// <remarks>A missing bias is minus zero: adding it changes nothing.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TEdge>(
        Vector512<float> sum, float* aFactors, float* bFactors, Vector512<float> bias, float* c, int row, int column, bool add, TEdge edge)
        where TEdge : struct, IAvx512Edge
    {
        if (row >= TEdge.Height || row >= edge.Rows || (column > 0 && !TEdge.IsWide))
            return;
        sum = sum - Vector512.Create(aFactors[Width + row]) - Vector512.Load(bFactors + Columns + column);
        sum = sum * Vector512.Create(aFactors[row]) * Vector512.Load(bFactors + column);
        if (add)
            sum += edge.Load(c, column);
        edge.Store(sum + bias, c, column);
    }

    /// <summary>Where the rows of A lie in a panel.</summary>
    private interface IRows
    {
        /// <summary>Elements before the factors.</summary>
        static abstract int Length(int depth);

        static abstract int At(int row, int step);
    }

    private readonly struct Steps : IRows
    {
        public static int Length(int depth) => Width * depth;

        public static int At(int row, int step) => (step * Width) + row;
    }

    private readonly struct Apart : IRows
    {
        public static int Length(int depth) => Height * PairedPanel.RowStride;

        public static int At(int row, int step) => (row * PairedPanel.RowStride) + step;
    }
}

/// <summary>How a <see cref="PairedKernel{TReads}"/> reads an element of A, which two vectors of B need.</summary>
internal unsafe interface IRowReads
{
    /// <summary>For the first vector.</summary>
    static abstract Vector512<float> First(float* a, int at);

    /// <summary>For the second, when the first's is at hand.</summary>
    static abstract Vector512<float> Second(Vector512<float> first, float* a, int at);
}

/// <summary>
/// Anew for each, which "volatile" forces: so it is part of the instruction that uses it. On Zen 4 an instruction of its own takes a turn of
/// the units that compute: the loop took 1.7 times as long.
/// </summary>
internal readonly unsafe struct ReadTwice : IRowReads
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> First(float* a, int at) => Vector512.Create(Volatile.Read(ref a[at]));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Second(Vector512<float> first, float* a, int at) => First(a, at);
}

/// <summary>
/// Once for both. On Zen 5 such an instruction takes no turn, and what is scarce are loads, two a clock: read twice, products took 1.5 times
/// as long.
/// </summary>
internal readonly unsafe struct ReadOnce : IRowReads
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> First(float* a, int at) => Vector512.Create(a[at]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Second(Vector512<float> first, float* a, int at) => first;
}
