using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// A panel as <see cref="PairedKernel{TReads}"/> reads it: lines (rows of A, columns of B) over one block of K, each scaled by a power of two,
/// and behind them, for each line, what undoes the scaling and the sum of its pairs' products.
/// </summary>
/// <remarks>
/// A pair's sum a + b keeps only the digits that the larger of the two leaves, so both lines are brought to a mean magnitude of 1 to 2
/// first. A line's factor follows from the line alone: an element of C depends on its row of A and its column of B and on nothing else.
/// A line of zeros has no scale; what undoes it is 0, so that its products are exactly 0.
/// </remarks>
internal static unsafe class PairedPanel
{
    /// <summary>Steps of K of which the first two are a pair.</summary>
    public const int Group = 3;

    /// <summary>
    /// Elements from one row of A to the next where rows lie along K: a block of K and one line of the cache more. That is an odd
    /// number of lines, so that the rows do not share the sets of the L1.
    /// </summary>
    public const int RowStride = Gemm.DepthBlock + Width;

    private const int Width = 16;

    // Far enough for any sensible line, and near enough that neither the factor nor its inverse leaves the normal numbers.
    private const int LargestExponent = 100;

    // So many rows ahead that they arrive in time.
    private const int RowsAhead = 12;

    // Vectors of lines whose magnitudes are added up in one go.
    private const int Together = 4;

    /// <summary>Elements of a panel in which the lines lie side by side.</summary>
    /// <param name="lanes">Lines of the panel, as many as fill vectors.</param>
    /// <param name="depth">Steps along K.</param>
    public static int Length(int lanes, int depth) => (lanes * depth) + (2 * lanes);

    /// <summary>Fills a panel in which the lines lie side by side, [depth, lanes], from lines that do not.</summary>
    /// <param name="source">Line 0, step 0. Nothing outside the lines and steps is read.</param>
    /// <param name="lineStride">Elements from one line to the next.</param>
    /// <param name="stepStride">Elements from one step to the next.</param>
    /// <param name="lines">Lines; those missing are zeros or repeat one.</param>
    /// <param name="depth">Steps along K.</param>
    /// <param name="lanes">Lines of the panel, as many as fill vectors.</param>
    /// <param name="target">The panel.</param>
    public static void FillSteps(float* source, long lineStride, long stepStride, int lines, int depth, int lanes, float* target)
    {
        if (stepStride == 1)
        {
            Packing.Transpose(source, lineStride, lines, depth, target, lanes);
        }
        else
        {
            for (int step = 0; step < depth; step++)
            {
                for (int line = 0; line < lanes; line++)
                    target[((long)step * lanes) + line] = line < lines ? source[(line * lineStride) + (step * stepStride)] : 0;
            }
        }

        for (int lane = 0; lane < lanes; lane += Width)
        {
            var sum = Magnitudes(target + lane, lanes, depth, default(Whole));
            Scale(target + lane, lanes, depth, sum, target + lane, lanes, default(Whole));
        }
    }

    /// <summary>Fills panels in which the lines lie side by side, [depth, lanes], from lines that do so too.</summary>
    /// <param name="source">Line 0, step 0. Nothing outside the lines and steps is read.</param>
    /// <param name="stepStride">Elements from one step to the next.</param>
    /// <param name="lines">Lines.</param>
    /// <param name="depth">Steps along K.</param>
    /// <param name="width">Lines of a panel.</param>
    /// <param name="lanes">As many as fill vectors.</param>
    /// <param name="target">The panels.</param>
    /// <param name="panelLength">Elements from one panel to the next.</param>
    public static void CopySteps(
        float* source, long stepStride, int lines, int depth, int width, int lanes, float* target, int panelLength)
    {
        int filled = Math.Min(width, Width), vectors = lanes / Width;
        // Vectors that do not reach beyond the lines.
        int whole = lines < Width ? 0 : ((lines - Width) / filled) + 1;
        float* sums = stackalloc float[Together * Width];
        for (int vector = 0; vector * filled < lines; vector++)
        {
            float* from = source + (vector * filled);
            float* panel = target + ((long)(vector / vectors) * panelLength) + (vector % vectors * Width);
            if (vector < whole)
            {
                if (vector % Together == 0)
                    Magnitudes(from, stepStride, depth, filled, Math.Min(Together, whole - vector), sums);
                Scale(from, stepStride, depth, Vector512.Load(sums + (vector % Together * Width)), panel, lanes, default(Whole));
            }
            else
            {
                var inside = new First(lines - (vector * filled));
                Scale(from, stepStride, depth, Magnitudes(from, stepStride, depth, inside), panel, lanes, inside);
            }
        }
    }

    /// <summary>Fills a panel of rows that lie along K, <see cref="RowStride"/> apart, of which only <paramref name="lines"/> are there.</summary>
    /// <param name="source">Line 0, step 0.</param>
    /// <param name="lineStride">Elements from one line to the next.</param>
    /// <param name="lines">Lines, at most 12.</param>
    /// <param name="depth">Steps along K.</param>
    /// <param name="target">The panel.</param>
    /// <param name="factors">Of each line, what undoes its scaling; a vector further on, its pairs' products.</param>
    public static void FillRows(float* source, long lineStride, int lines, int depth, float* target, float* factors)
    {
        // Four numbers a row: to add them up within each row would take as long as to make them.
        float* parts = stackalloc float[4 * Width], scales = stackalloc float[Width];
        for (int line = 0; line < lines; line++)
            Fold(Magnitudes(source + (line * lineStride), depth)).Store(parts + (4 * line));
        var factor = Factor(AddFours(parts), depth, out var inverse);
        inverse.Store(factors);
        factor.Store(scales);
        for (int line = 0; line < lines; line++)
        {
            Fold(ScaleRow(source + (line * lineStride), depth, scales[line], target + (line * RowStride)))
                .Store(parts + (4 * line));
        }

        (AddFours(parts) * factor).Store(factors + Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(Vector512<float> x)
    {
        var half = x.GetLower() + x.GetUpper();
        return half.GetLower() + half.GetUpper();
    }

    /// <summary>The sums of 16 times four neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> AddFours(float* parts)
    {
        var first = Vector512.Load(parts);
        var second = Vector512.Load(parts + Width);
        var third = Vector512.Load(parts + (2 * Width));
        var fourth = Vector512.Load(parts + (3 * Width));
        var even = Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        var odd = even + Vector512<int>.One;
        var low = Pick(first, second, even) + Pick(first, second, odd);
        var high = Pick(third, fourth, even) + Pick(third, fourth, odd);
        return Pick(low, high, even) + Pick(low, high, odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Pick(Vector512<float> low, Vector512<float> high, Vector512<int> places) => Avx512F.IsSupported
        ? Avx512F.PermuteVar16x32x2(low, places, high)
        : Vector512.ConditionalSelect(
            Vector512.LessThan(places, Vector512.Create(Width)).AsSingle(),
            Vector512.Shuffle(low, places & Vector512.Create(Width - 1)), Vector512.Shuffle(high, places & Vector512.Create(Width - 1)));

    /// <summary>The power of two nearest below the inverse of a line's mean magnitude, and its own inverse.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Factor(Vector512<float> magnitudes, int depth, out Vector512<float> inverse)
    {
        const int Bias = 127, MantissaBits = 23;
        var mean = magnitudes * Vector512.Create(1f / depth);
        var exponent = (mean.AsInt32() >>> MantissaBits) - Vector512.Create(Bias);
        exponent = Vector512.Min(Vector512.Max(exponent, Vector512.Create(-LargestExponent)), Vector512.Create(LargestExponent));
        inverse = ((Vector512.Create(Bias) + exponent) << MantissaBits).AsSingle();
        inverse = Vector512.ConditionalSelect(Vector512.Equals(magnitudes, default), default, inverse);
        return ((Vector512.Create(Bias) - exponent) << MantissaBits).AsSingle();
    }

    /// <summary>The sum of the magnitudes of each line.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Vector512<float> Magnitudes<TLanes>(float* source, long stride, int depth, TLanes lanes)
        where TLanes : struct, ILanes
    {
        Vector512<float> even = default, odd = default;
        for (int pair = depth / 2; pair > 0; pair--)
        {
            even += Vector512.Abs(lanes.Load(source));
            odd += Vector512.Abs(lanes.Load(source + stride));
            source += 2 * stride;
        }

        if (depth % 2 != 0)
            even += Vector512.Abs(lanes.Load(source));
        return even + odd;
    }

    /// <summary>The same for up to four vectors of lines, <paramref name="apart"/> elements apart: so memory is read in its order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Magnitudes(float* source, long stride, int depth, int apart, int vectors, float* sums)
    {
        // Of fewer than four the last is read again.
        int second = Math.Min(1, vectors - 1) * apart, third = Math.Min(2, vectors - 1) * apart, fourth = (vectors - 1) * apart;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        for (; depth > 0; depth--)
        {
            if (Sse.IsSupported)
            {
                // A long stride hides the pattern from the processor's own prefetcher.
                float* ahead = source + (RowsAhead * stride);
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + second);
                Sse.Prefetch0(ahead + third);
                Sse.Prefetch0(ahead + fourth);
            }

            s0 += Vector512.Abs(Vector512.Load(source));
            s1 += Vector512.Abs(Vector512.Load(source + second));
            s2 += Vector512.Abs(Vector512.Load(source + third));
            s3 += Vector512.Abs(Vector512.Load(source + fourth));
            source += stride;
        }

        s0.Store(sums);
        s1.Store(sums + Width);
        s2.Store(sums + (2 * Width));
        s3.Store(sums + (3 * Width));
    }

    /// <summary>Copies lines times their factors; behind them go what undoes these and the sums of their pairs' products.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scale<TLanes>(
        float* source, long sourceStride, int depth, Vector512<float> magnitudes, float* target, int targetStride, TLanes lanes)
        where TLanes : struct, ILanes
    {
        var factor = Factor(magnitudes, depth, out var inverse);
        var pairs = Vector512<float>.Zero;
        for (int group = depth / Group; group > 0; group--)
        {
            var x = lanes.Load(source) * factor;
            var y = lanes.Load(source + sourceStride) * factor;
            x.Store(target);
            y.Store(target + targetStride);
            (lanes.Load(source + (2 * sourceStride)) * factor).Store(target + (2 * targetStride));
            pairs = Vector512.FusedMultiplyAdd(x, y, pairs);
            source += Group * sourceStride;
            target += Group * targetStride;
        }

        for (int rest = depth % Group; rest > 0; rest--)
        {
            (lanes.Load(source) * factor).Store(target);
            source += sourceStride;
            target += targetStride;
        }

        inverse.Store(target);
        pairs.Store(target + targetStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Magnitudes(float* row, int depth)
    {
        Vector512<float> even = default, odd = default;
        int i = 0;
        for (; i <= depth - (2 * Width); i += 2 * Width)
        {
            even += Vector512.Abs(Vector512.Load(row + i));
            odd += Vector512.Abs(Vector512.Load(row + i + Width));
        }

        for (; i < depth; i += Width)
            even += Vector512.Abs(Lane512.LoadPart(row + i, depth - i, 0).Value);
        return even + odd;
    }

    /// <summary>Copies a row times its factor; returns what add up to its pairs' products, of which one factor is not scaled yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ScaleRow(float* row, int depth, float scale, float* target)
    {
        // In three vectors pairs begin at every third of 48 lanes; a pair's second factor is read one element further on.
        var first0 = Vector512.LessThan(Vector512.Create(0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0), Vector512.Create(1)).AsSingle();
        var first1 = Vector512.LessThan(Vector512.Create(1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1), Vector512.Create(1)).AsSingle();
        var first2 = Vector512.LessThan(Vector512.Create(1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1), Vector512.Create(1)).AsSingle();
        var factor = Vector512.Create(scale);
        Vector512<float> pairs0 = default, pairs1 = default, pairs2 = default;
        int i = 0, paired = depth / Group * Group;
        for (; i < depth - (3 * Width); i += 3 * Width)
        {
            var x = Vector512.Load(row + i) * factor;
            var y = Vector512.Load(row + i + Width) * factor;
            var z = Vector512.Load(row + i + (2 * Width)) * factor;
            x.Store(target + i);
            y.Store(target + i + Width);
            z.Store(target + i + (2 * Width));
            pairs0 = Vector512.FusedMultiplyAdd(x & first0, Vector512.Load(row + i + 1), pairs0);
            pairs1 = Vector512.FusedMultiplyAdd(y & first1, Vector512.Load(row + i + 1 + Width), pairs1);
            pairs2 = Vector512.FusedMultiplyAdd(z & first2, Vector512.Load(row + i + 1 + (2 * Width)), pairs2);
        }

        for (; i < depth; i += Width)
        {
            var x = Lane512.LoadPart(row + i, depth - i, 0).Value * factor;
            Lane512.StorePart(new(x), target + i, depth - i);
            pairs0 = Vector512.FusedMultiplyAdd(x & first0, Lane512.LoadPart(row + i + 1, paired - i - 1, 0).Value, pairs0);
            (first0, first1, first2) = (first1, first2, first0);
        }

        return pairs0 + pairs1 + pairs2;
    }

    /// <summary>How many lines of a vector are there.</summary>
    private interface ILanes
    {
        Vector512<float> Load(float* source);
    }

    private readonly struct Whole : ILanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Load(float* source) => Vector512.Load(source);
    }

    private readonly struct First(int count) : ILanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Load(float* source) => Lane512.LoadPart(source, count, 0).Value;
    }
}
