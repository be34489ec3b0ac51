using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>Stride 1, F(2 x 2, 3 x 3): 16 products for 36. One row: (d0 - d2) g0, (d1 + d2)(g0 + g1 + g2)/2, and so on.</summary>
internal readonly unsafe struct WinogradStride1 : IWinogradTransform
{
    public static int Stride => 1;

    public static int TileSide => 4;

    public static int KernelElement(int element) => element;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Kernels<V>(float* tap, int tapStride, float* element, int elementStride)
        where V : unmanaged, IFloatLane<V>
    {
        KernelColumn<V>(tap, tapStride, out var a0, out var a1, out var a2, out var a3);
        KernelColumn<V>(tap + tapStride, tapStride, out var b0, out var b1, out var b2, out var b3);
        KernelColumn<V>(tap + (2 * tapStride), tapStride, out var c0, out var c1, out var c2, out var c3);
        KernelRow(a0, b0, c0, element, elementStride);
        KernelRow(a1, b1, c1, element + (4 * elementStride), elementStride);
        KernelRow(a2, b2, c2, element + (8 * elementStride), elementStride);
        KernelRow(a3, b3, c3, element + (12 * elementStride), elementStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Source<V>(float* band, int length, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        SourceRow<V>(band, length, out var a0, out var a1, out var a2, out var a3);
        SourceRow<V>(band + (4 * length), length, out var c0, out var c1, out var c2, out var c3);
        V.Store(a0 - c0, to);
        V.Store(a1 - c1, to + stride);
        V.Store(a2 - c2, to + (2 * stride));
        V.Store(a3 - c3, to + (3 * stride));
        SourceRow<V>(band + (2 * length), length, out var b0, out var b1, out var b2, out var b3);
        to += 4 * stride;
        V.Store(b0 + c0, to);
        V.Store(b1 + c1, to + stride);
        V.Store(b2 + c2, to + (2 * stride));
        V.Store(b3 + c3, to + (3 * stride));
        to += 4 * stride;
        V.Store(c0 - b0, to);
        V.Store(c1 - b1, to + stride);
        V.Store(c2 - b2, to + (2 * stride));
        V.Store(c3 - b3, to + (3 * stride));
        SourceRow<V>(band + (6 * length), length, out a0, out a1, out a2, out a3);
        to += 4 * stride;
        V.Store(b0 - a0, to);
        V.Store(b1 - a1, to + stride);
        V.Store(b2 - a2, to + (2 * stride));
        V.Store(b3 - a3, to + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Results<V>(float* m, long stride, float* to, int length)
        where V : unmanaged, IFloatLane<V>
    {
        ResultRow<V>(m, stride, out var top0, out var top1);
        ResultRow<V>(m + (4 * stride), stride, out var left, out var right);
        top0 += left;
        top1 += right;
        var (low0, low1) = (left, right);
        ResultRow<V>(m + (8 * stride), stride, out left, out right);
        top0 += left;
        top1 += right;
        low0 -= left;
        low1 -= right;
        ResultRow<V>(m + (12 * stride), stride, out left, out right);
        V.Store(top0, to);
        V.Store(top1, to + length);
        V.Store(low0 - left, to + (2 * length));
        V.Store(low1 - right, to + (3 * length));
    }

    /// <summary>A dY A' of a vector of tiles, for the weight's gradient: the transpose of <see cref="Results{V}"/>.</summary>
    /// <inheritdoc cref="Source{V}"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gradients<V>(float* band, int length, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        V top0 = V.Load(band), top1 = V.Load(band + length);
        V low0 = V.Load(band + (2 * length)), low1 = V.Load(band + (3 * length));
        GradientRow(top0, top1, to, stride);
        GradientRow(top0 + low0, top1 + low1, to + (4 * stride), stride);
        GradientRow(top0 - low0, top1 - low1, to + (8 * stride), stride);
        GradientRow(-low0, -low1, to + (12 * stride), stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelColumn<V>(float* tap, int stride, out V t0, out V t1, out V t2, out V t3)
        where V : unmanaged, IFloatLane<V>
    {
        t0 = V.Load(tap);
        t3 = V.Load(tap + (6 * stride));
        V middle = V.Of(0.5) * V.Load(tap + (3 * stride)), sum = V.Of(0.5) * (t0 + t3);
        t1 = sum + middle;
        t2 = sum - middle;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelRow<V>(V a, V b, V c, float* element, int stride)
        where V : unmanaged, IFloatLane<V>
    {
        V middle = V.Of(0.5) * b, sum = V.Of(0.5) * (a + c);
        V.Store(a, element);
        V.Store(sum + middle, element + stride);
        V.Store(sum - middle, element + (2 * stride));
        V.Store(c, element + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SourceRow<V>(float* row, int length, out V t0, out V t1, out V t2, out V t3)
        where V : unmanaged, IFloatLane<V>
    {
        V d0 = V.Load(row), d1 = V.Load(row + length), d2 = V.Load(row + 1), d3 = V.Load(row + length + 1);
        t0 = d0 - d2;
        t1 = d1 + d2;
        t2 = d2 - d1;
        t3 = d1 - d3;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ResultRow<V>(float* m, long stride, out V left, out V right)
        where V : unmanaged, IFloatLane<V>
    {
        V m1 = V.Load(m + stride), m2 = V.Load(m + (2 * stride));
        left = V.Load(m) + m1 + m2;
        right = m1 - m2 - V.Load(m + (3 * stride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void GradientRow<V>(V left, V right, float* to, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        V.Store(left, to);
        V.Store(left + right, to + stride);
        V.Store(left - right, to + (2 * stride));
        V.Store(-right, to + (3 * stride));
    }
}
