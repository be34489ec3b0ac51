using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Stride 2: 25 products for 36. Of a row, the even pixels meet g0 and g2, two taps of stride 1, for which F(2, 2) takes three
/// products; the odd ones meet g1:
/// y0 = (d0 - d2) g0 + d2 (g0 + g2) + d1 g1 and y1 = d2 (g0 + g2) - (d2 - d4) g2 + d3 g1.
/// </summary>
internal readonly unsafe struct WinogradStride2 : IWinogradTransform
{
    public static int Stride => 2;

    public static int TileSide => 5;

    // The last two elements of a row, and the last two rows, have the same factor: g1.
    public static int KernelElement(int element) => (Math.Min(element / 5, 3) * 4) + Math.Min(element % 5, 3);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Kernels<V>(float* tap, int tapStride, float* element, int elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        V a0 = V.Load(tap), b0 = V.Load(tap + tapStride), c0 = V.Load(tap + (2 * tapStride));
        tap += 3 * tapStride;
        V a1 = V.Load(tap), b1 = V.Load(tap + tapStride), c1 = V.Load(tap + (2 * tapStride));
        tap += 3 * tapStride;
        V a2 = V.Load(tap), b2 = V.Load(tap + tapStride), c2 = V.Load(tap + (2 * tapStride));
        KernelRow(a0, b0, c0, element, elementStride);
        KernelRow(a0 + a2, b0 + b2, c0 + c2, element + (4 * elementStride), elementStride);
        KernelRow(a2, b2, c2, element + (8 * elementStride), elementStride);
        KernelRow(a1, b1, c1, element + (12 * elementStride), elementStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Source<V>(float* band, int length, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        int row = 4 * length;
        SourceRow<V>(band, length, out var a0, out var a1, out var a2, out var a3, out var a4);
        SourceRow<V>(band + (2 * row), length, out var c0, out var c1, out var c2, out var c3, out var c4);
        Store(a0 - c0, a1 - c1, a2 - c2, a3 - c3, a4 - c4, to, stride);
        Store(c0, c1, c2, c3, c4, to + (5 * stride), stride);
        SourceRow(band + (4 * row), length, out a0, out a1, out a2, out a3, out a4);
        Store(c0 - a0, c1 - a1, c2 - a2, c3 - a3, c4 - a4, to + (10 * stride), stride);
        SourceRow(band + row, length, out a0, out a1, out a2, out a3, out a4);
        Store(a0, a1, a2, a3, a4, to + (15 * stride), stride);
        SourceRow(band + (3 * row), length, out a0, out a1, out a2, out a3, out a4);
        Store(a0, a1, a2, a3, a4, to + (20 * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Results<V>(float* m, long stride, float* to, int length)
        where V : unmanaged, IFloatLane<V>
    {
        ResultRow<V>(m, stride, out var top0, out var top1);
        ResultRow<V>(m + (5 * stride), stride, out var low0, out var low1);
        top0 += low0;
        top1 += low1;
        ResultRow<V>(m + (10 * stride), stride, out var left, out var right);
        low0 -= left;
        low1 -= right;
        ResultRow(m + (15 * stride), stride, out left, out right);
        V.Store(top0 + left, to);
        V.Store(top1 + right, to + length);
        ResultRow(m + (20 * stride), stride, out left, out right);
        V.Store(low0 + left, to + (2 * length));
        V.Store(low1 + right, to + (3 * length));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelRow<V>(V a, V b, V c, float* element, int stride)
        where V : unmanaged, IFloatLane<V>
    {
        V.Store(a, element);
        V.Store(a + c, element + stride);
        V.Store(c, element + (2 * stride));
        V.Store(b, element + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SourceRow<V>(float* row, int length, out V t0, out V t1, out V t2, out V t3, out V t4)
        where V : unmanaged, IFloatLane<V>
    {
        t1 = V.Load(row + (2 * length));
        t0 = V.Load(row) - t1;
        t2 = t1 - V.Load(row + 1);
        t3 = V.Load(row + length);
        t4 = V.Load(row + (3 * length));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V>(V t0, V t1, V t2, V t3, V t4, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        V.Store(t0, to);
        V.Store(t1, to + stride);
        V.Store(t2, to + (2 * stride));
        V.Store(t3, to + (3 * stride));
        V.Store(t4, to + (4 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ResultRow<V>(float* m, long stride, out V left, out V right)
        where V : unmanaged, IFloatLane<V>
    {
        V both = V.Load(m + stride);
        left = V.Load(m) + both + V.Load(m + (3 * stride));
        right = both - V.Load(m + (2 * stride)) + V.Load(m + (4 * stride));
    }
}
