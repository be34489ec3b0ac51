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

    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue) =>
        Wide(depth, panels, c, cStride, epilogue, default(Whole));

    public static void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns)
    {
        if (columns <= Width)
            Narrow(depth, panels, c, cStride, epilogue, new Part(rows, columns));
        else
            Wide(depth, panels, c, cStride, epilogue, new Part(rows, columns));
    }

    // Named scalars, because the JIT keeps an array of vectors in memory; no tiering, because the loop is the whole cost.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide<TEdge>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, TEdge edge)
        where TEdge : struct, IEdge
    {
        float* a = panels.A, b = panels.B;
        long aStride = panels.AStride, bStride = panels.BStride;
        long aAhead = panels.AAhead, bAhead = panels.BAhead;
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

        // The lines of C arrive while the sums are made.
        if (Sse.IsSupported)
        {
            for (int row = 0; row < edge.Rows; row++)
            {
                Sse.Prefetch0(c + row * cStride);
                Sse.Prefetch0(c + row * cStride + 2 * Width - 1);
            }
        }

        for (; depth > 0; depth--)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch1(a + aAhead);
                Sse.Prefetch1(b + bAhead);
            }

            var b0 = Vector512.Load(b);
            var b1 = Vector512.Load(b + Width);
            var x = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(x, b1, c01);
            x = Vector512.Create(a[1]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(x, b1, c11);
            x = Vector512.Create(a[2]);
            c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(x, b1, c21);
            x = Vector512.Create(a[3]);
            c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(x, b1, c31);
            x = Vector512.Create(a[4]);
            c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
            c41 = Vector512.FusedMultiplyAdd(x, b1, c41);
            x = Vector512.Create(a[5]);
            c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
            c51 = Vector512.FusedMultiplyAdd(x, b1, c51);
            x = Vector512.Create(a[6]);
            c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
            c61 = Vector512.FusedMultiplyAdd(x, b1, c61);
            x = Vector512.Create(a[7]);
            c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
            c71 = Vector512.FusedMultiplyAdd(x, b1, c71);
            x = Vector512.Create(a[8]);
            c80 = Vector512.FusedMultiplyAdd(x, b0, c80);
            c81 = Vector512.FusedMultiplyAdd(x, b1, c81);
            x = Vector512.Create(a[9]);
            c90 = Vector512.FusedMultiplyAdd(x, b0, c90);
            c91 = Vector512.FusedMultiplyAdd(x, b1, c91);
            x = Vector512.Create(a[10]);
            cA0 = Vector512.FusedMultiplyAdd(x, b0, cA0);
            cA1 = Vector512.FusedMultiplyAdd(x, b1, cA1);
            x = Vector512.Create(a[11]);
            cB0 = Vector512.FusedMultiplyAdd(x, b0, cB0);
            cB1 = Vector512.FusedMultiplyAdd(x, b1, cB1);
            x = Vector512.Create(a[12]);
            cC0 = Vector512.FusedMultiplyAdd(x, b0, cC0);
            cC1 = Vector512.FusedMultiplyAdd(x, b1, cC1);
            x = Vector512.Create(a[13]);
            cD0 = Vector512.FusedMultiplyAdd(x, b0, cD0);
            cD1 = Vector512.FusedMultiplyAdd(x, b1, cD1);
            a += aStride;
            b += bStride;
        }

        Finish(c00, c, 0, 0, epilogue, edge);
        Finish(c01, c + Width, 0, Width, epilogue, edge);
        Finish(c10, c + cStride, 1, 0, epilogue, edge);
        Finish(c11, c + cStride + Width, 1, Width, epilogue, edge);
        Finish(c20, c + 2 * cStride, 2, 0, epilogue, edge);
        Finish(c21, c + 2 * cStride + Width, 2, Width, epilogue, edge);
        Finish(c30, c + 3 * cStride, 3, 0, epilogue, edge);
        Finish(c31, c + 3 * cStride + Width, 3, Width, epilogue, edge);
        Finish(c40, c + 4 * cStride, 4, 0, epilogue, edge);
        Finish(c41, c + 4 * cStride + Width, 4, Width, epilogue, edge);
        Finish(c50, c + 5 * cStride, 5, 0, epilogue, edge);
        Finish(c51, c + 5 * cStride + Width, 5, Width, epilogue, edge);
        Finish(c60, c + 6 * cStride, 6, 0, epilogue, edge);
        Finish(c61, c + 6 * cStride + Width, 6, Width, epilogue, edge);
        Finish(c70, c + 7 * cStride, 7, 0, epilogue, edge);
        Finish(c71, c + 7 * cStride + Width, 7, Width, epilogue, edge);
        Finish(c80, c + 8 * cStride, 8, 0, epilogue, edge);
        Finish(c81, c + 8 * cStride + Width, 8, Width, epilogue, edge);
        Finish(c90, c + 9 * cStride, 9, 0, epilogue, edge);
        Finish(c91, c + 9 * cStride + Width, 9, Width, epilogue, edge);
        Finish(cA0, c + 10 * cStride, 10, 0, epilogue, edge);
        Finish(cA1, c + 10 * cStride + Width, 10, Width, epilogue, edge);
        Finish(cB0, c + 11 * cStride, 11, 0, epilogue, edge);
        Finish(cB1, c + 11 * cStride + Width, 11, Width, epilogue, edge);
        Finish(cC0, c + 12 * cStride, 12, 0, epilogue, edge);
        Finish(cC1, c + 12 * cStride + Width, 12, Width, epilogue, edge);
        Finish(cD0, c + 13 * cStride, 13, 0, epilogue, edge);
        Finish(cD1, c + 13 * cStride + Width, 13, Width, epilogue, edge);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow<TEdge>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, TEdge edge)
        where TEdge : struct, IEdge
    {
        float* a = panels.A, b = panels.B;
        long aStride = panels.AStride, bStride = panels.BStride;
        long aAhead = panels.AAhead, bAhead = panels.BAhead;
        Vector512<float> c00 = default;
        Vector512<float> c10 = default;
        Vector512<float> c20 = default;
        Vector512<float> c30 = default;
        Vector512<float> c40 = default;
        Vector512<float> c50 = default;
        Vector512<float> c60 = default;
        Vector512<float> c70 = default;
        Vector512<float> c80 = default;
        Vector512<float> c90 = default;
        Vector512<float> cA0 = default;
        Vector512<float> cB0 = default;
        Vector512<float> cC0 = default;
        Vector512<float> cD0 = default;

        // The lines of C arrive while the sums are made.
        if (Sse.IsSupported)
        {
            for (int row = 0; row < edge.Rows; row++)
            {
                Sse.Prefetch0(c + row * cStride);
            }
        }

        for (; depth > 0; depth--)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch1(a + aAhead);
                Sse.Prefetch1(b + bAhead);
            }

            var b0 = Vector512.Load(b);
            var x = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            x = Vector512.Create(a[1]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            x = Vector512.Create(a[2]);
            c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
            x = Vector512.Create(a[3]);
            c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
            x = Vector512.Create(a[4]);
            c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
            x = Vector512.Create(a[5]);
            c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
            x = Vector512.Create(a[6]);
            c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
            x = Vector512.Create(a[7]);
            c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
            x = Vector512.Create(a[8]);
            c80 = Vector512.FusedMultiplyAdd(x, b0, c80);
            x = Vector512.Create(a[9]);
            c90 = Vector512.FusedMultiplyAdd(x, b0, c90);
            x = Vector512.Create(a[10]);
            cA0 = Vector512.FusedMultiplyAdd(x, b0, cA0);
            x = Vector512.Create(a[11]);
            cB0 = Vector512.FusedMultiplyAdd(x, b0, cB0);
            x = Vector512.Create(a[12]);
            cC0 = Vector512.FusedMultiplyAdd(x, b0, cC0);
            x = Vector512.Create(a[13]);
            cD0 = Vector512.FusedMultiplyAdd(x, b0, cD0);
            a += aStride;
            b += bStride;
        }

        Finish(c00, c, 0, 0, epilogue, edge);
        Finish(c10, c + cStride, 1, 0, epilogue, edge);
        Finish(c20, c + 2 * cStride, 2, 0, epilogue, edge);
        Finish(c30, c + 3 * cStride, 3, 0, epilogue, edge);
        Finish(c40, c + 4 * cStride, 4, 0, epilogue, edge);
        Finish(c50, c + 5 * cStride, 5, 0, epilogue, edge);
        Finish(c60, c + 6 * cStride, 6, 0, epilogue, edge);
        Finish(c70, c + 7 * cStride, 7, 0, epilogue, edge);
        Finish(c80, c + 8 * cStride, 8, 0, epilogue, edge);
        Finish(c90, c + 9 * cStride, 9, 0, epilogue, edge);
        Finish(cA0, c + 10 * cStride, 10, 0, epilogue, edge);
        Finish(cB0, c + 11 * cStride, 11, 0, epilogue, edge);
        Finish(cC0, c + 12 * cStride, 12, 0, epilogue, edge);
        Finish(cD0, c + 13 * cStride, 13, 0, epilogue, edge);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TEdge>(Vector512<float> sum, float* c, int row, int column, in TileEpilogue epilogue, TEdge edge)
        where TEdge : struct, IEdge
    {
        if (row >= edge.Rows)
            return;
        sum *= Vector512.Create(epilogue.Alpha);
        if (epilogue.AddC)
            sum += edge.Load(c, column);
        if (epilogue.Bias != null)
            sum += edge.Load(epilogue.Bias + column, column);
        if (epilogue.RowBias != null)
            sum += Vector512.Create(epilogue.RowBias[row]);
        edge.Store(sum, c, column);
    }

    /// <summary>How much of a tile lies inside C.</summary>
    private interface IEdge
    {
        int Rows { get; }

        Vector512<float> Load(float* source, int column);

        void Store(Vector512<float> value, float* target, int column);
    }

    private readonly struct Whole : IEdge
    {
        public int Rows => Avx512Kernel.Rows;

        public Vector512<float> Load(float* source, int column) => Vector512.Load(source);

        public void Store(Vector512<float> value, float* target, int column) => value.Store(target);
    }

    private readonly struct Part(int rows, int columns) : IEdge
    {
        public int Rows => rows;

        public Vector512<float> Load(float* source, int column) =>
            columns - column >= Width ? Vector512.Load(source) : Lane512.LoadPart(source, columns - column, 0).Value;

        public void Store(Vector512<float> value, float* target, int column)
        {
            if (columns - column >= Width)
                value.Store(target);
            else
                Lane512.StorePart(new(value), target, columns - column);
        }
    }
}
