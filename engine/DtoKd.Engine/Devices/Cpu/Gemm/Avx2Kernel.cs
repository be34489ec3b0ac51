using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>6 x 16: 12 of the 16 vector registers hold sums, 2 hold B, 1 the broadcast of A.</summary>
internal readonly unsafe struct Avx2Kernel : IMicroKernel
{
    private const int Width = 8;

    public static int Rows => 6;

    public static int Columns => 2 * Width;

    // A block of 96 x 384 floats takes 144 KiB: well inside the smallest usual L2 of 256 KiB, a panel of the other operand beside it.
    public static int BlockLines => 16 * Rows;

    public static int RowStep => Rows;

    public static int ColumnStep => Columns;

    public static bool ReadsScatteredRows => false;

    // Named scalars, because the JIT keeps an array of vectors in memory; no tiering, because the loop is the whole cost.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue)
    {
        float* a = panels.A, b = panels.B;
        long aStride = panels.AStride, bStride = panels.BStride;
        var fetch = panels.Fetch;
        float* next = fetch != null ? fetch->At : a, rowEnd = fetch != null ? fetch->RowEnd : (float*)nuint.MaxValue;
        long nextStep = fetch != null ? PrefetchedBlock.LineElements : 0;
        Vector256<float> c00 = default, c01 = default;
        Vector256<float> c10 = default, c11 = default;
        Vector256<float> c20 = default, c21 = default;
        Vector256<float> c30 = default, c31 = default;
        Vector256<float> c40 = default, c41 = default;
        Vector256<float> c50 = default, c51 = default;

        // What is needed with C arrives while the sums are made.
        if (Sse.IsSupported)
        {
            for (int row = 0; row < Rows; row++)
            {
                Sse.Prefetch1(c + epilogue.Companion + row * cStride);
                Sse.Prefetch1(c + epilogue.Companion + row * cStride + 2 * Width - 1);
            }
        }

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
            }

            var b0 = Vector256.Load(b);
            var b1 = Vector256.Load(b + Width);
            var x = Vector256.Create(a[0]);
            c00 = Vector256.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector256.FusedMultiplyAdd(x, b1, c01);
            x = Vector256.Create(a[1]);
            c10 = Vector256.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector256.FusedMultiplyAdd(x, b1, c11);
            x = Vector256.Create(a[2]);
            c20 = Vector256.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector256.FusedMultiplyAdd(x, b1, c21);
            x = Vector256.Create(a[3]);
            c30 = Vector256.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector256.FusedMultiplyAdd(x, b1, c31);
            x = Vector256.Create(a[4]);
            c40 = Vector256.FusedMultiplyAdd(x, b0, c40);
            c41 = Vector256.FusedMultiplyAdd(x, b1, c41);
            x = Vector256.Create(a[5]);
            c50 = Vector256.FusedMultiplyAdd(x, b0, c50);
            c51 = Vector256.FusedMultiplyAdd(x, b1, c51);
            a += aStride;
            b += bStride;
        }

        if (fetch != null)
            fetch->At = next;
        Finish(c00, c01, c, epilogue);
        Finish(c10, c11, c + cStride, epilogue);
        Finish(c20, c21, c + 2 * cStride, epilogue);
        Finish(c30, c31, c + 3 * cStride, epilogue);
        Finish(c40, c41, c + 4 * cStride, epilogue);
        Finish(c50, c51, c + 5 * cStride, epilogue);
    }

    public static void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns) =>
        EdgeTile.Run<Avx2Kernel>(depth, panels, c, cStride, epilogue, rows, columns);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<float> left, Vector256<float> right, float* c, in TileEpilogue epilogue)
    {
        if (epilogue.AddC)
        {
            left += Vector256.Load(c);
            right += Vector256.Load(c + Width);
        }

        if (epilogue.Bias != null)
        {
            left += Vector256.Load(epilogue.Bias);
            right += Vector256.Load(epilogue.Bias + Width);
        }

        left.Store(c);
        right.Store(c + Width);
    }
}
