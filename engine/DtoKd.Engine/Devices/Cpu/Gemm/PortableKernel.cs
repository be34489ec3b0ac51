using System.Numerics;
using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// 4 rows by two vectors of whatever width the machine has: 8 sums, which fits 16 registers and hides a latency of 4.
/// </summary>
/// <remarks>Multiplies and adds in two roundings where the processor has no fused instruction.</remarks>
internal readonly unsafe struct PortableKernel : IMicroKernel
{
    private static int Width => Vector<float>.Count;

    public static int Rows => 4;

    public static int Columns => 2 * Width;

    // A block of 96 x 384 floats takes 144 KiB: well inside the smallest usual L2 of 256 KiB.
    public static int BlockLines => 24 * Rows;

    public static int RowStep => Rows;

    public static int ColumnStep => Columns;

    public static bool ReadsScatteredRows => false;

    // Named scalars, because the JIT keeps an array of vectors in memory; no tiering, because the loop is the whole cost.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue)
    {
        float* a = panels.A, b = panels.B;
        long aStride = panels.AStride, bStride = panels.BStride;
        Vector<float> c00 = default, c01 = default;
        Vector<float> c10 = default, c11 = default;
        Vector<float> c20 = default, c21 = default;
        Vector<float> c30 = default, c31 = default;
        for (; depth > 0; depth--)
        {
            var b0 = Vector.Load(b);
            var b1 = Vector.Load(b + Width);
            var x = Vector.Create(a[0]);
            c00 = Vector.MultiplyAddEstimate(x, b0, c00);
            c01 = Vector.MultiplyAddEstimate(x, b1, c01);
            x = Vector.Create(a[1]);
            c10 = Vector.MultiplyAddEstimate(x, b0, c10);
            c11 = Vector.MultiplyAddEstimate(x, b1, c11);
            x = Vector.Create(a[2]);
            c20 = Vector.MultiplyAddEstimate(x, b0, c20);
            c21 = Vector.MultiplyAddEstimate(x, b1, c21);
            x = Vector.Create(a[3]);
            c30 = Vector.MultiplyAddEstimate(x, b0, c30);
            c31 = Vector.MultiplyAddEstimate(x, b1, c31);
            a += aStride;
            b += bStride;
        }

        Finish(c00, c01, c, epilogue);
        Finish(c10, c11, c + cStride, epilogue);
        Finish(c20, c21, c + 2 * cStride, epilogue);
        Finish(c30, c31, c + 3 * cStride, epilogue);
    }

    public static void Edge(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns) =>
        EdgeTile.Run<PortableKernel>(depth, panels, c, cStride, epilogue, rows, columns);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector<float> left, Vector<float> right, float* c, in TileEpilogue epilogue)
    {
        if (epilogue.AddC)
        {
            left += Vector.Load(c);
            right += Vector.Load(c + Width);
        }

        if (epilogue.Bias != null)
        {
            left += Vector.Load(epilogue.Bias);
            right += Vector.Load(epilogue.Bias + Width);
        }

        left.Store(c);
        right.Store(c + Width);
    }
}
