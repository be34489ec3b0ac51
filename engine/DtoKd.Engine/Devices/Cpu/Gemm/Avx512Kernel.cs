using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>14 x 32: 28 of the 32 vector registers hold sums, 2 hold B, 1 the broadcast of A. 14 x 16 at the right edge.</summary>
/// <remarks>Without AVX-512 the runtime emulates the vectors: right, but slow. Tests use that.</remarks>
internal readonly unsafe struct Avx512Kernel : IMicroKernel
{
    private const int Width = 16;

    public static int Rows => 14;

    public static int Columns => 2 * Width;

    // A block of 224 x 384 floats takes 336 KiB: at most a third of the L2 of 1 to 2 MiB that AVX-512 machines have.
    public static int BlockLines => 16 * Rows;

    public static int RowStep => 2;

    public static int ColumnStep => Width;

    public static bool ReadsScatteredRows => true;

    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue)
    {
        if (panels.ARowStride == 1)
            Sums(depth, panels, c, cStride, epilogue, default(WholeTile<Fourteen>), default(Neighbours));
        else
            Sums(depth, panels, c, cStride, epilogue, default(WholeTile<Fourteen>), new Scattered(panels.ARowStride));
    }

    public static void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns)
    {
        if (panels.ARowStride == 1)
            Edge(depth, panels, c, cStride, epilogue, rows, columns, default(Neighbours));
        else
            Edge(depth, panels, c, cStride, epilogue, rows, columns, new Scattered(panels.ARowStride));
    }

    private static void Edge<TRows>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns, TRows lie)
        where TRows : struct, IRows
    {
        if (columns <= Width)
            Edge<TRows, One>(depth, panels, c, cStride, epilogue, rows, columns, lie);
        else
            Edge<TRows, Two>(depth, panels, c, cStride, epilogue, rows, columns, lie);
    }

    private static void Edge<TRows, TVectors>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns, TRows lie)
        where TRows : struct, IRows
        where TVectors : struct, ICount
    {
        // Few rows need few sums: 48 rows are three tiles of 14 and one of 6, not four of 14.
        switch ((rows + 1) / 2)
        {
            case 1: Sums(depth, panels, c, cStride, epilogue, new TilePart<Two, TVectors>(rows, columns), lie); break;
            case 2: Sums(depth, panels, c, cStride, epilogue, new TilePart<Four, TVectors>(rows, columns), lie); break;
            case 3: Sums(depth, panels, c, cStride, epilogue, new TilePart<Six, TVectors>(rows, columns), lie); break;
            case 4: Sums(depth, panels, c, cStride, epilogue, new TilePart<Eight, TVectors>(rows, columns), lie); break;
            case 5: Sums(depth, panels, c, cStride, epilogue, new TilePart<Ten, TVectors>(rows, columns), lie); break;
            case 6: Sums(depth, panels, c, cStride, epilogue, new TilePart<Twelve, TVectors>(rows, columns), lie); break;
            default: Sums(depth, panels, c, cStride, epilogue, new TilePart<Fourteen, TVectors>(rows, columns), lie); break;
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
        long aStride = panels.AStride, bStride = panels.BStride;
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
        Vector512<float> cC0 = default, cC1 = default;
        Vector512<float> cD0 = default, cD1 = default;

        for (; depth > 0; depth--)
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

                // The companion's lines arrive while the sums are made: row after row without a branch, again and again, and only as
                // far as the L2. The L1 waits for two dozen lines at most, and the operands come through it too.
                Sse.Prefetch1(companion + ahead);
                Sse.Prefetch1(companion + ahead + (2 * Width) - 1);
                ahead = (ahead + cStride) & ((ahead - lastRow) >> 63);
            }

            var b0 = Vector512.Load(b);
            var b1 = TEdge.IsWide ? Vector512.Load(b + Width) : default;
            var x = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            c01 = Second<TEdge>(x, b1, c01);
            x = Vector512.Create(a[lie.Of(1)]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            c11 = Second<TEdge>(x, b1, c11);

            if (TEdge.Height > 2)
            {
                x = Vector512.Create(a[lie.Of(2)]);
                c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
                c21 = Second<TEdge>(x, b1, c21);
                x = Vector512.Create(a[lie.Of(3)]);
                c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
                c31 = Second<TEdge>(x, b1, c31);
            }

            if (TEdge.Height > 4)
            {
                x = Vector512.Create(a[lie.Of(4)]);
                c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
                c41 = Second<TEdge>(x, b1, c41);
                x = Vector512.Create(a[lie.Of(5)]);
                c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
                c51 = Second<TEdge>(x, b1, c51);
            }

            if (TEdge.Height > 6)
            {
                x = Vector512.Create(a[lie.Of(6)]);
                c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
                c61 = Second<TEdge>(x, b1, c61);
                x = Vector512.Create(a[lie.Of(7)]);
                c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
                c71 = Second<TEdge>(x, b1, c71);
            }

            if (TEdge.Height > 8)
            {
                x = Vector512.Create(a[lie.Of(8)]);
                c80 = Vector512.FusedMultiplyAdd(x, b0, c80);
                c81 = Second<TEdge>(x, b1, c81);
                x = Vector512.Create(a[lie.Of(9)]);
                c90 = Vector512.FusedMultiplyAdd(x, b0, c90);
                c91 = Second<TEdge>(x, b1, c91);
            }

            if (TEdge.Height > 10)
            {
                x = Vector512.Create(a[lie.Of(10)]);
                cA0 = Vector512.FusedMultiplyAdd(x, b0, cA0);
                cA1 = Second<TEdge>(x, b1, cA1);
                x = Vector512.Create(a[lie.Of(11)]);
                cB0 = Vector512.FusedMultiplyAdd(x, b0, cB0);
                cB1 = Second<TEdge>(x, b1, cB1);
            }

            if (TEdge.Height > 12)
            {
                x = Vector512.Create(a[lie.Of(12)]);
                cC0 = Vector512.FusedMultiplyAdd(x, b0, cC0);
                cC1 = Second<TEdge>(x, b1, cC1);
                x = Vector512.Create(a[lie.Of(13)]);
                cD0 = Vector512.FusedMultiplyAdd(x, b0, cD0);
                cD1 = Second<TEdge>(x, b1, cD1);
            }

            a += aStride;
            b += bStride;
        }

        if (fetch != null)
            fetch->At = next;
        bool add = epilogue.AddC;
        var left = epilogue.Bias != null ? edge.Load(epilogue.Bias, 0) : Vector512.Create(-0f);
        var right = epilogue.Bias != null && TEdge.IsWide ? edge.Load(epilogue.Bias + Width, Width) : Vector512.Create(-0f);
        Finish(c00, left, c, 0, 0, add, edge);
        Finish(c01, right, c + Width, 0, Width, add, edge);
        Finish(c10, left, c + cStride, 1, 0, add, edge);
        Finish(c11, right, c + cStride + Width, 1, Width, add, edge);
        Finish(c20, left, c + 2 * cStride, 2, 0, add, edge);
        Finish(c21, right, c + 2 * cStride + Width, 2, Width, add, edge);
        Finish(c30, left, c + 3 * cStride, 3, 0, add, edge);
        Finish(c31, right, c + 3 * cStride + Width, 3, Width, add, edge);
        Finish(c40, left, c + 4 * cStride, 4, 0, add, edge);
        Finish(c41, right, c + 4 * cStride + Width, 4, Width, add, edge);
        Finish(c50, left, c + 5 * cStride, 5, 0, add, edge);
        Finish(c51, right, c + 5 * cStride + Width, 5, Width, add, edge);
        Finish(c60, left, c + 6 * cStride, 6, 0, add, edge);
        Finish(c61, right, c + 6 * cStride + Width, 6, Width, add, edge);
        Finish(c70, left, c + 7 * cStride, 7, 0, add, edge);
        Finish(c71, right, c + 7 * cStride + Width, 7, Width, add, edge);
        Finish(c80, left, c + 8 * cStride, 8, 0, add, edge);
        Finish(c81, right, c + 8 * cStride + Width, 8, Width, add, edge);
        Finish(c90, left, c + 9 * cStride, 9, 0, add, edge);
        Finish(c91, right, c + 9 * cStride + Width, 9, Width, add, edge);
        Finish(cA0, left, c + 10 * cStride, 10, 0, add, edge);
        Finish(cA1, right, c + 10 * cStride + Width, 10, Width, add, edge);
        Finish(cB0, left, c + 11 * cStride, 11, 0, add, edge);
        Finish(cB1, right, c + 11 * cStride + Width, 11, Width, add, edge);
        Finish(cC0, left, c + 12 * cStride, 12, 0, add, edge);
        Finish(cC1, right, c + 12 * cStride + Width, 12, Width, add, edge);
        Finish(cD0, left, c + 13 * cStride, 13, 0, add, edge);
        Finish(cD1, right, c + 13 * cStride + Width, 13, Width, add, edge);
    }

    /// <summary>A step of the right vector's sums, where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Second<TEdge>(Vector512<float> x, Vector512<float> b, Vector512<float> sum)
        where TEdge : struct, IAvx512Edge => TEdge.IsWide ? Vector512.FusedMultiplyAdd(x, b, sum) : sum;

    /// <remarks>A missing bias is minus zero: adding it changes nothing.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TEdge>(Vector512<float> sum, Vector512<float> bias, float* c, int row, int column, bool add, TEdge edge)
        where TEdge : struct, IAvx512Edge
    {
        if (row >= TEdge.Height || row >= edge.Rows || (column > 0 && !TEdge.IsWide))
            return;
        if (add)
            sum += edge.Load(c, column);
        edge.Store(sum + bias, c, column);
    }

    /// <summary>Where the rows of A lie within a step.</summary>
    private interface IRows
    {
        long Of(int row);
    }

    private readonly struct Neighbours : IRows
    {
        public long Of(int row) => row;
    }

    private readonly struct Scattered(long stride) : IRows
    {
        public long Of(int row) => row * stride;
    }
}
