using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>14 x 32: 28 of the 32 vector registers hold sums, 2 hold B, 1 the broadcast of A.</summary>
/// <remarks>Without AVX-512 the runtime emulates the vectors: right, but slow. Tests use that.</remarks>
internal readonly unsafe struct Avx512Kernel : IMicroKernel
{
    private const int Width = 16;

    public static int Rows => 14;

    public static int Columns => 2 * Width;

    // A's block of 224 x 256 floats takes 224 KiB: at most a quarter of the L2 of 1 to 2 MiB that AVX-512 machines have.
    public static int RowBlock => 16 * Rows;

    // Named scalars, because the JIT keeps an array of vectors in memory; no tiering, because the loop is the whole cost.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue)
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
            for (int row = 0; row < Rows; row++)
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

        Finish(c00, c01, c, 0, epilogue);
        Finish(c10, c11, c + cStride, 1, epilogue);
        Finish(c20, c21, c + 2 * cStride, 2, epilogue);
        Finish(c30, c31, c + 3 * cStride, 3, epilogue);
        Finish(c40, c41, c + 4 * cStride, 4, epilogue);
        Finish(c50, c51, c + 5 * cStride, 5, epilogue);
        Finish(c60, c61, c + 6 * cStride, 6, epilogue);
        Finish(c70, c71, c + 7 * cStride, 7, epilogue);
        Finish(c80, c81, c + 8 * cStride, 8, epilogue);
        Finish(c90, c91, c + 9 * cStride, 9, epilogue);
        Finish(cA0, cA1, c + 10 * cStride, 10, epilogue);
        Finish(cB0, cB1, c + 11 * cStride, 11, epilogue);
        Finish(cC0, cC1, c + 12 * cStride, 12, epilogue);
        Finish(cD0, cD1, c + 13 * cStride, 13, epilogue);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector512<float> left, Vector512<float> right, float* c, int row, in TileEpilogue epilogue)
    {
        var alpha = Vector512.Create(epilogue.Alpha);
        left *= alpha;
        right *= alpha;
        if (epilogue.AddC)
        {
            left += Vector512.Load(c);
            right += Vector512.Load(c + Width);
        }

        if (epilogue.Bias != null)
        {
            left += Vector512.Load(epilogue.Bias);
            right += Vector512.Load(epilogue.Bias + Width);
        }

        if (epilogue.RowBias != null)
        {
            var bias = Vector512.Create(epilogue.RowBias[row]);
            left += bias;
            right += bias;
        }

        left.Store(c);
        right.Store(c + Width);
    }
}
