using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The innermost loops of a convolution, on planes laid out by <see cref="ConvLayout"/>: 12 sums in registers, of 4 channels by
/// 3 vectors (or 3 taps), and variants for a single channel.
/// </summary>
internal static unsafe class ConvTiles
{
    /// <summary>Channels of the large tile.</summary>
    public const int Rows = 4;

    /// <summary>Vectors of the large tile of <see cref="Products4{V}"/>, taps of that of <see cref="Dots4{V}"/>.</summary>
    public const int Columns = 3;

    /// <summary>Vectors of <see cref="Products1{V}"/>.</summary>
    public const int Vectors1 = 8;

    /// <summary>Taps of <see cref="Dots1{V}"/>.</summary>
    public const int Taps1 = 9;

    /// <summary>y[r][v] (+)= sum over k of w[k][r] planes[offsets[k] + bases[v]], for 4 channels r and 3 vectors v.</summary>
    /// <param name="depth">Products to sum.</param>
    /// <param name="w">[depth, 4].</param>
    /// <param name="offsets">A place in the planes for each product.</param>
    /// <param name="planes">The planes.</param>
    /// <param name="bases">The vectors' places.</param>
    /// <param name="vectors">How many there are, at least 1; of the missing ones the last is computed again.</param>
    /// <param name="bias">Four values to add; null for none.</param>
    /// <param name="add">Add to what y holds.</param>
    /// <param name="y">Where the places of the first channel begin.</param>
    /// <param name="places">Where each vector is stored.</param>
    /// <param name="yStride">Floats from one channel to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Products4<V>(
        int depth, float* w, int* offsets, float* planes, int* bases, int vectors, float* bias, bool add, float* y,
        int* places, long yStride)
        where V : unmanaged, IFloatLane<V>
    {
        int second = Math.Min(1, vectors - 1), third = Math.Min(2, vectors - 1);
        float* p0 = planes + bases[0], p1 = planes + bases[second], p2 = planes + bases[third];
        V c00 = V.Of(0), c01 = c00, c02 = c00;
        V c10 = c00, c11 = c00, c12 = c00;
        V c20 = c00, c21 = c00, c22 = c00;
        V c30 = c00, c31 = c00, c32 = c00;
        for (int k = 0; k < depth; k++)
        {
            long at = offsets[k];
            V x0 = V.Load(p0 + at), x1 = V.Load(p1 + at), x2 = V.Load(p2 + at);
            var f = V.Broadcast(w[0]);
            V.AddProduct(ref c00, f, x0);
            V.AddProduct(ref c01, f, x1);
            V.AddProduct(ref c02, f, x2);
            f = V.Broadcast(w[1]);
            V.AddProduct(ref c10, f, x0);
            V.AddProduct(ref c11, f, x1);
            V.AddProduct(ref c12, f, x2);
            f = V.Broadcast(w[2]);
            V.AddProduct(ref c20, f, x0);
            V.AddProduct(ref c21, f, x1);
            V.AddProduct(ref c22, f, x2);
            f = V.Broadcast(w[3]);
            V.AddProduct(ref c30, f, x0);
            V.AddProduct(ref c31, f, x1);
            V.AddProduct(ref c32, f, x2);
            w += Rows;
        }

        y += places[0];
        second = places[second] - places[0];
        third = places[third] - places[0];
        Finish(c00, c01, c02, bias, add, y, second, third);
        Finish(c10, c11, c12, bias == null ? null : bias + 1, add, y + yStride, second, third);
        Finish(c20, c21, c22, bias == null ? null : bias + 2, add, y + (2 * yStride), second, third);
        Finish(c30, c31, c32, bias == null ? null : bias + 3, add, y + (3 * yStride), second, third);
    }

    /// <summary>The same for one channel and 8 vectors; w is [depth].</summary>
    /// <inheritdoc cref="Products4{V}"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Products1<V>(
        int depth, float* w, int* offsets, float* planes, int* bases, int vectors, float* bias, bool add, float* y,
        int* places)
        where V : unmanaged, IFloatLane<V>
    {
        int last = vectors - 1;
        float* p0 = planes + bases[0], p1 = planes + bases[Math.Min(1, last)];
        float* p2 = planes + bases[Math.Min(2, last)], p3 = planes + bases[Math.Min(3, last)];
        float* p4 = planes + bases[Math.Min(4, last)], p5 = planes + bases[Math.Min(5, last)];
        float* p6 = planes + bases[Math.Min(6, last)], p7 = planes + bases[Math.Min(7, last)];
        V c0 = bias == null ? V.Of(0) : V.Broadcast(*bias), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
        for (int k = 0; k < depth; k++)
        {
            long at = offsets[k];
            var f = V.Broadcast(w[k]);
            V.AddProduct(ref c0, f, p0 + at);
            V.AddProduct(ref c1, f, p1 + at);
            V.AddProduct(ref c2, f, p2 + at);
            V.AddProduct(ref c3, f, p3 + at);
            V.AddProduct(ref c4, f, p4 + at);
            V.AddProduct(ref c5, f, p5 + at);
            V.AddProduct(ref c6, f, p6 + at);
            V.AddProduct(ref c7, f, p7 + at);
        }

        Finish(c0, add, y + places[0]);
        if (vectors > 1)
            Finish(c1, add, y + places[1]);
        if (vectors > 2)
            Finish(c2, add, y + places[2]);
        if (vectors > 3)
            Finish(c3, add, y + places[3]);
        if (vectors > 4)
            Finish(c4, add, y + places[4]);
        if (vectors > 5)
            Finish(c5, add, y + places[5]);
        if (vectors > 6)
            Finish(c6, add, y + places[6]);
        if (vectors > 7)
            Finish(c7, add, y + places[7]);
    }

    /// <summary>dw[r][k] += sum over v of dy[r][v] planes[offsets[k] + bases[v]], for 4 channels r and 3 products k.</summary>
    /// <param name="vectors">Vectors to sum.</param>
    /// <param name="bases">Their places.</param>
    /// <param name="planes">The planes.</param>
    /// <param name="offsets">A place in the planes for each product.</param>
    /// <param name="taps">How many products there are, at least 1; of the missing ones the last is computed again.</param>
    /// <param name="dy">Four channels, vector by vector.</param>
    /// <param name="dyStride">Floats from one channel to the next.</param>
    /// <param name="dw">The first channel's sum of the first product.</param>
    /// <param name="dwStride">Floats from one channel to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dots4<V>(
        int vectors, int* bases, float* planes, int* offsets, int taps, float* dy, long dyStride, float* dw, long dwStride)
        where V : unmanaged, IFloatLane<V>
    {
        int second = Math.Min(1, taps - 1), third = Math.Min(2, taps - 1);
        float* p0 = planes + offsets[0], p1 = planes + offsets[second], p2 = planes + offsets[third];
        float* d0 = dy, d1 = dy + dyStride, d2 = dy + (2 * dyStride), d3 = dy + (3 * dyStride);
        V c00 = V.Of(0), c01 = c00, c02 = c00;
        V c10 = c00, c11 = c00, c12 = c00;
        V c20 = c00, c21 = c00, c22 = c00;
        V c30 = c00, c31 = c00, c32 = c00;
        long j = 0;
        for (int v = 0; v < vectors; v++, j += V.Width)
        {
            long at = bases[v];
            V x0 = V.Load(p0 + at), x1 = V.Load(p1 + at), x2 = V.Load(p2 + at);
            var f = V.Load(d0 + j);
            V.AddProduct(ref c00, f, x0);
            V.AddProduct(ref c01, f, x1);
            V.AddProduct(ref c02, f, x2);
            f = V.Load(d1 + j);
            V.AddProduct(ref c10, f, x0);
            V.AddProduct(ref c11, f, x1);
            V.AddProduct(ref c12, f, x2);
            f = V.Load(d2 + j);
            V.AddProduct(ref c20, f, x0);
            V.AddProduct(ref c21, f, x1);
            V.AddProduct(ref c22, f, x2);
            f = V.Load(d3 + j);
            V.AddProduct(ref c30, f, x0);
            V.AddProduct(ref c31, f, x1);
            V.AddProduct(ref c32, f, x2);
        }

        AddSums(c00, c01, c02, taps, dw);
        AddSums(c10, c11, c12, taps, dw + dwStride);
        AddSums(c20, c21, c22, taps, dw + (2 * dwStride));
        AddSums(c30, c31, c32, taps, dw + (3 * dwStride));
    }

    /// <summary>The same for one channel and 9 products.</summary>
    /// <inheritdoc cref="Dots4{V}"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dots1<V>(int vectors, int* bases, float* planes, int* offsets, int taps, float* dy, float* dw)
        where V : unmanaged, IFloatLane<V>
    {
        int last = taps - 1;
        float* p0 = planes + offsets[0], p1 = planes + offsets[Math.Min(1, last)], p2 = planes + offsets[Math.Min(2, last)];
        float* p3 = planes + offsets[Math.Min(3, last)], p4 = planes + offsets[Math.Min(4, last)];
        float* p5 = planes + offsets[Math.Min(5, last)], p6 = planes + offsets[Math.Min(6, last)];
        float* p7 = planes + offsets[Math.Min(7, last)], p8 = planes + offsets[Math.Min(8, last)];
        V c0 = V.Of(0), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0, c8 = c0;
        for (int v = 0; v < vectors; v++)
        {
            long at = bases[v];
            var f = V.Load(dy);
            V.AddProduct(ref c0, f, p0 + at);
            V.AddProduct(ref c1, f, p1 + at);
            V.AddProduct(ref c2, f, p2 + at);
            V.AddProduct(ref c3, f, p3 + at);
            V.AddProduct(ref c4, f, p4 + at);
            V.AddProduct(ref c5, f, p5 + at);
            V.AddProduct(ref c6, f, p6 + at);
            V.AddProduct(ref c7, f, p7 + at);
            V.AddProduct(ref c8, f, p8 + at);
            dy += V.Width;
        }

        AddSums(c0, c1, c2, taps, dw);
        AddSums(c3, c4, c5, taps - 3, dw + 3);
        AddSums(c6, c7, c8, taps - 6, dw + 6);
    }

    // Where vectors are missing, second and third are places already written, and the values are the same.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V>(V left, V middle, V right, float* bias, bool add, float* y, int second, int third)
        where V : unmanaged, IFloatLane<V>
    {
        if (bias != null)
        {
            var b = V.Broadcast(*bias);
            left += b;
            middle += b;
            right += b;
        }

        if (add)
        {
            left += V.Load(y);
            middle += V.Load(y + second);
            right += V.Load(y + third);
        }

        V.Store(left, y);
        V.Store(middle, y + second);
        V.Store(right, y + third);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V>(V sum, bool add, float* y)
        where V : unmanaged, IFloatLane<V> => V.Store(add ? sum + V.Load(y) : sum, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddSums<V>(V first, V second, V third, int count, float* sums)
        where V : unmanaged, IFloatLane<V>
    {
        if (count > 0)
            sums[0] += V.Sum(first);
        if (count > 1)
            sums[1] += V.Sum(second);
        if (count > 2)
            sums[2] += V.Sum(third);
    }
}
