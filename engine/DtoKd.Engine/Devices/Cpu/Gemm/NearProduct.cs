using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Products of small operands that the caches near the core already hold: nothing is packed. The first operand is read element
/// by element, so it may be transposed; the second one and the result have contiguous rows of whole vectors.
/// </summary>
/// <remarks>
/// Tiles of 7 or 8 rows by two vectors: 14 sums hide the latency of the multiply-adds, 7 divides the 49 tokens of a window, and both
/// together make every number of rows from 42 on without a tile that is partly empty. An element is one chain of multiply-adds in the
/// order of K.
/// </remarks>
internal static unsafe class NearProduct
{
    private const int Rows = 7;

    /// <summary>How many rows a tile has; a constant to the compiler.</summary>
    private interface IHeight
    {
        static abstract bool IsEight { get; }
    }

    /// <summary>C = A B, or C += A B.</summary>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C, a multiple of the vector width.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">A, of any strides.</param>
    /// <param name="b">B.</param>
    /// <param name="bStride">Elements from one row of B to the next.</param>
    /// <param name="c">C; must not overlap A or B.</param>
    /// <param name="cStride">Elements from one row of C to the next.</param>
    /// <param name="accumulate">Whether to add to what C holds.</param>
    public static void Run<V>(
        int m, int n, int k, MatrixView a, float* b, long bStride, float* c, long cStride, bool accumulate = false)
        where V : unmanaged, IFloatLane<V>
    {
        // As many tiles of 8 rows as leave no rest, if there are enough rows for that.
        int tiles = m / Rows, eights = m - (tiles * Rows);
        int tall = eights <= tiles ? eights * (Rows + 1) : 0;
        for (int j = 0; j < n; j += 2 * V.Width)
        {
            bool half = j + V.Width == n;
            for (int i = 0; i < m; i += i < tall ? Rows + 1 : Rows)
            {
                float* from = a.Data + (i * a.RowStride), to = c + (i * cStride) + j;
                int rows = i < tall ? Rows + 1 : Math.Min(Rows, m - i);
                if (half && i < tall)
                    HalfTile<V, Eight>(rows, k, from, a.RowStride, a.ColumnStride, b + j, bStride, to, cStride, accumulate);
                else if (half)
                    HalfTile<V, Seven>(rows, k, from, a.RowStride, a.ColumnStride, b + j, bStride, to, cStride, accumulate);
                else if (i < tall)
                    Tile<V, Eight>(rows, k, from, a.RowStride, a.ColumnStride, b + j, bStride, to, cStride, accumulate);
                else
                    Tile<V, Seven>(rows, k, from, a.RowStride, a.ColumnStride, b + j, bStride, to, cStride, accumulate);
            }
        }
    }

    // Rows beyond the last repeat the first and are not stored.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<V, H>(
        int rows, int k, float* a0, long aRow, long aColumn, float* b, long bStride, float* c, long cStride, bool accumulate)
        where V : unmanaged, IFloatLane<V>
        where H : struct, IHeight
    {
        float* a1 = rows > 1 ? a0 + aRow : a0;
        float* a2 = rows > 2 ? a1 + aRow : a0;
        float* a3 = rows > 3 ? a2 + aRow : a0;
        float* a4 = rows > 4 ? a3 + aRow : a0;
        float* a5 = rows > 5 ? a4 + aRow : a0;
        float* a6 = rows > 6 ? a5 + aRow : a0;
        float* a7 = rows > 7 ? a6 + aRow : a0;
        V c00 = V.Of(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
        V c40 = c00, c41 = c00, c50 = c00, c51 = c00, c60 = c00, c61 = c00, c70 = c00, c71 = c00;
        for (long at = 0; k > 0; k--, at += aColumn, b += bStride)
        {
            V left = V.Load(b), right = V.Load(b + V.Width);
            var x = V.Broadcast(a0[at]);
            V.AddProduct(ref c00, x, left);
            V.AddProduct(ref c01, x, right);
            x = V.Broadcast(a1[at]);
            V.AddProduct(ref c10, x, left);
            V.AddProduct(ref c11, x, right);
            x = V.Broadcast(a2[at]);
            V.AddProduct(ref c20, x, left);
            V.AddProduct(ref c21, x, right);
            x = V.Broadcast(a3[at]);
            V.AddProduct(ref c30, x, left);
            V.AddProduct(ref c31, x, right);
            x = V.Broadcast(a4[at]);
            V.AddProduct(ref c40, x, left);
            V.AddProduct(ref c41, x, right);
            x = V.Broadcast(a5[at]);
            V.AddProduct(ref c50, x, left);
            V.AddProduct(ref c51, x, right);
            x = V.Broadcast(a6[at]);
            V.AddProduct(ref c60, x, left);
            V.AddProduct(ref c61, x, right);
            if (H.IsEight)
            {
                x = V.Broadcast(a7[at]);
                V.AddProduct(ref c70, x, left);
                V.AddProduct(ref c71, x, right);
            }
        }

        Finish(c00, c01, c, accumulate);
        if (rows > 1)
            Finish(c10, c11, c += cStride, accumulate);
        if (rows > 2)
            Finish(c20, c21, c += cStride, accumulate);
        if (rows > 3)
            Finish(c30, c31, c += cStride, accumulate);
        if (rows > 4)
            Finish(c40, c41, c += cStride, accumulate);
        if (rows > 5)
            Finish(c50, c51, c += cStride, accumulate);
        if (rows > 6)
            Finish(c60, c61, c += cStride, accumulate);
        if (H.IsEight)
            Finish(c70, c71, c + cStride, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void HalfTile<V, H>(
        int rows, int k, float* a0, long aRow, long aColumn, float* b, long bStride, float* c, long cStride, bool accumulate)
        where V : unmanaged, IFloatLane<V>
        where H : struct, IHeight
    {
        float* a1 = rows > 1 ? a0 + aRow : a0;
        float* a2 = rows > 2 ? a1 + aRow : a0;
        float* a3 = rows > 3 ? a2 + aRow : a0;
        float* a4 = rows > 4 ? a3 + aRow : a0;
        float* a5 = rows > 5 ? a4 + aRow : a0;
        float* a6 = rows > 6 ? a5 + aRow : a0;
        float* a7 = rows > 7 ? a6 + aRow : a0;
        V c0 = V.Of(0), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
        for (long at = 0; k > 0; k--, at += aColumn, b += bStride)
        {
            var row = V.Load(b);
            c0 = V.MultiplyAdd(V.Broadcast(a0[at]), row, c0);
            c1 = V.MultiplyAdd(V.Broadcast(a1[at]), row, c1);
            c2 = V.MultiplyAdd(V.Broadcast(a2[at]), row, c2);
            c3 = V.MultiplyAdd(V.Broadcast(a3[at]), row, c3);
            c4 = V.MultiplyAdd(V.Broadcast(a4[at]), row, c4);
            c5 = V.MultiplyAdd(V.Broadcast(a5[at]), row, c5);
            c6 = V.MultiplyAdd(V.Broadcast(a6[at]), row, c6);
            if (H.IsEight)
                c7 = V.MultiplyAdd(V.Broadcast(a7[at]), row, c7);
        }

        Finish(c0, c, accumulate);
        if (rows > 1)
            Finish(c1, c += cStride, accumulate);
        if (rows > 2)
            Finish(c2, c += cStride, accumulate);
        if (rows > 3)
            Finish(c3, c += cStride, accumulate);
        if (rows > 4)
            Finish(c4, c += cStride, accumulate);
        if (rows > 5)
            Finish(c5, c += cStride, accumulate);
        if (rows > 6)
            Finish(c6, c += cStride, accumulate);
        if (H.IsEight)
            Finish(c7, c + cStride, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V>(V left, V right, float* c, bool accumulate)
        where V : unmanaged, IFloatLane<V>
    {
        Finish(left, c, accumulate);
        Finish(right, c + V.Width, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V>(V sum, float* c, bool accumulate)
        where V : unmanaged, IFloatLane<V> =>
        V.Store(accumulate ? V.Load(c) + sum : sum, c);

    private readonly struct Seven : IHeight
    {
        public static bool IsEight => false;
    }

    private readonly struct Eight : IHeight
    {
        public static bool IsEight => true;
    }
}
