using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Products of small matrices, as many at once as a vector has lanes: an element is a vector, and each lane has matrices of its own.
/// No size wastes a lane, and nothing needs broadcasting or summing across one.
/// </summary>
/// <remarks>
/// A tile is 4 or 5 elements high and wide with the 32 registers of AVX-512, 3 or 4 by 2 or 3 with 16 registers, so that every
/// number from 12 (or 6) on is a sum of tiles without rest: 49 tokens are nine times 5 and once 4. An element is one chain of
/// multiply-adds in the order of K.
/// </remarks>
internal static unsafe class LaneProduct
{
    /// <summary>C = A B. Strides count floats: neighbours are at least a vector apart.</summary>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">A, whose rows are read once for each tile of columns.</param>
    /// <param name="b">B, all of which is read for each tile of rows.</param>
    /// <param name="c">C; must not overlap A or B.</param>
    /// <param name="fetch">What is asked for meanwhile.</param>
    public static void Run<V>(int m, int n, int k, MatrixView a, MatrixView b, MatrixView c, ref LaneFetch fetch)
        where V : unmanaged, IFloatLane<V>
    {
        int right = LargeTiles(n, MaxColumns<V>());
        for (int i = 0, rows; i < m; i += rows)
        {
            rows = RowsOfTile<V>(m, i);
            MatrixView aRows = a.Offset(i * a.RowStride), cRows = c.Offset(i * c.RowStride);
            for (int j = 0; j < n;)
            {
                int width = MaxColumns<V>() - (j < right ? 0 : 1);
                int columns = Math.Min(width, n - j);
                TileOf<V>(rows, columns, width, k, aRows, b.Offset(j * b.ColumnStride), cRows.Offset(j * c.ColumnStride), ref fetch);
                j += width;
            }
        }
    }

    /// <summary>Rows of the tile that begins with row <paramref name="i"/> of <paramref name="m"/>, the end of the tile before.</summary>
    public static int RowsOfTile<V>(int m, int i)
        where V : unmanaged, IFloatLane<V> =>
        Math.Min(m - i, MaxRows<V>() - (i < LargeTiles(m, MaxRows<V>()) ? 0 : 1));

    /// <summary>The most rows that a tile has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int MaxRows<V>()
        where V : unmanaged, IFloatLane<V> => V.Width == 16 ? 5 : 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int MaxColumns<V>()
        where V : unmanaged, IFloatLane<V> => V.Width == 16 ? 5 : 3;

    /// <summary>How many of the elements go to tiles of full size, so that tiles one smaller take the others without rest.</summary>
    private static int LargeTiles(int count, int size)
    {
        int tiles = (count + size - 1) / size;
        return Math.Max(0, count - (tiles * (size - 1))) * size;
    }

    private static void TileOf<V>(
        int rows, int columns, int width, int k, in MatrixView a, in MatrixView b, in MatrixView c, ref LaneFetch fetch)
        where V : unmanaged, IFloatLane<V>
    {
        bool tall = rows == MaxRows<V>(), wide = width == MaxColumns<V>();
        if (V.Width == 16)
        {
            if (tall && wide)
                Tile<V, Five, Five>(rows, columns, k, a, b, c, ref fetch);
            else if (tall)
                Tile<V, Five, Four>(rows, columns, k, a, b, c, ref fetch);
            else if (wide)
                Tile<V, Four, Five>(rows, columns, k, a, b, c, ref fetch);
            else
                Tile<V, Four, Four>(rows, columns, k, a, b, c, ref fetch);
        }
        else if (tall && wide)
            Tile<V, Four, Three>(rows, columns, k, a, b, c, ref fetch);
        else if (tall)
            Tile<V, Four, Two>(rows, columns, k, a, b, c, ref fetch);
        else if (wide)
            Tile<V, Three, Three>(rows, columns, k, a, b, c, ref fetch);
        else
            Tile<V, Three, Two>(rows, columns, k, a, b, c, ref fetch);
    }

    // Rows and columns beyond the last repeat the first and are not stored.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<V, H, W>(
        int rows, int columns, int k, in MatrixView a, in MatrixView b, in MatrixView c, ref LaneFetch fetch)
        where V : unmanaged, IFloatLane<V>
        where H : struct, ICount
        where W : struct, ICount
    {
        long aRow = a.RowStride, aNext = a.ColumnStride, bColumn = b.ColumnStride, bNext = b.RowStride;
        float* a0 = a.Data, b0 = b.Data;
        float* a1 = rows > 1 ? a0 + aRow : a0;
        float* a2 = rows > 2 ? a1 + aRow : a0;
        float* a3 = rows > 3 ? a2 + aRow : a0;
        float* a4 = rows > 4 ? a3 + aRow : a0;
        float* b1 = columns > 1 ? b0 + bColumn : b0;
        float* b2 = columns > 2 ? b1 + bColumn : b0;
        float* b3 = columns > 3 ? b2 + bColumn : b0;
        float* b4 = columns > 4 ? b3 + bColumn : b0;
        float** ahead = fetch.Take(k, out long offset);
        V zero = V.Of(0);
        V c00 = zero, c01 = zero, c02 = zero, c03 = zero, c04 = zero;
        V c10 = zero, c11 = zero, c12 = zero, c13 = zero, c14 = zero;
        V c20 = zero, c21 = zero, c22 = zero, c23 = zero, c24 = zero;
        V c30 = zero, c31 = zero, c32 = zero, c33 = zero, c34 = zero;
        V c40 = zero, c41 = zero, c42 = zero, c43 = zero, c44 = zero;
        for (long i = 0, j = 0; k > 0; k--, i += aNext, j += bNext)
        {
            if (Sse.IsSupported && ahead != null)
                Sse.Prefetch1(ahead[k - 1] + offset);
            V y0 = V.Load(b0 + j), y1 = V.Load(b1 + j);
            V y2 = W.Count > 2 ? V.Load(b2 + j) : y0;
            V y3 = W.Count > 3 ? V.Load(b3 + j) : y0;
            V y4 = W.Count > 4 ? V.Load(b4 + j) : y0;
            Step<V, W>(V.Load(a0 + i), y0, y1, y2, y3, y4, ref c00, ref c01, ref c02, ref c03, ref c04);
            Step<V, W>(V.Load(a1 + i), y0, y1, y2, y3, y4, ref c10, ref c11, ref c12, ref c13, ref c14);
            Step<V, W>(V.Load(a2 + i), y0, y1, y2, y3, y4, ref c20, ref c21, ref c22, ref c23, ref c24);
            if (H.Count > 3)
                Step<V, W>(V.Load(a3 + i), y0, y1, y2, y3, y4, ref c30, ref c31, ref c32, ref c33, ref c34);
            if (H.Count > 4)
                Step<V, W>(V.Load(a4 + i), y0, y1, y2, y3, y4, ref c40, ref c41, ref c42, ref c43, ref c44);
        }

        float* to = c.Data;
        Finish<V, W>(columns, to, c.ColumnStride, c00, c01, c02, c03, c04);
        if (rows > 1)
            Finish<V, W>(columns, to += c.RowStride, c.ColumnStride, c10, c11, c12, c13, c14);
        if (rows > 2)
            Finish<V, W>(columns, to += c.RowStride, c.ColumnStride, c20, c21, c22, c23, c24);
        if (H.Count > 3 && rows > 3)
            Finish<V, W>(columns, to += c.RowStride, c.ColumnStride, c30, c31, c32, c33, c34);
        if (H.Count > 4)
            Finish<V, W>(columns, to + c.RowStride, c.ColumnStride, c40, c41, c42, c43, c44);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<V, W>(V x, V y0, V y1, V y2, V y3, V y4, ref V c0, ref V c1, ref V c2, ref V c3, ref V c4)
        where V : unmanaged, IFloatLane<V>
        where W : struct, ICount
    {
        V.AddProduct(ref c0, x, y0);
        V.AddProduct(ref c1, x, y1);
        if (W.Count > 2)
            V.AddProduct(ref c2, x, y2);
        if (W.Count > 3)
            V.AddProduct(ref c3, x, y3);
        if (W.Count > 4)
            V.AddProduct(ref c4, x, y4);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V, W>(int columns, float* c, long stride, V c0, V c1, V c2, V c3, V c4)
        where V : unmanaged, IFloatLane<V>
        where W : struct, ICount
    {
        V.Store(c0, c);
        if (columns > 1)
            V.Store(c1, c + stride);
        if (W.Count > 2 && columns > 2)
            V.Store(c2, c + (2 * stride));
        if (W.Count > 3 && columns > 3)
            V.Store(c3, c + (3 * stride));
        if (W.Count > 4)
            V.Store(c4, c + (4 * stride));
    }
}
