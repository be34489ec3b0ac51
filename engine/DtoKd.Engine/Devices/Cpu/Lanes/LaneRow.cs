using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Loops over a contiguous row of floats, whose last vector may be a part of one. Sums are taken in vectors over pieces of
/// fixed length, whose results are added in double.
/// </summary>
internal static unsafe class LaneRow
{
    /// <summary>Elements that are summed in float before the result moves to a double.</summary>
    public const long Piece = 2048;

    /// <summary>
    /// The next vector of a row that has <paramref name="left"/> elements left; missing ones are <paramref name="fill"/>. Loops
    /// pass the vector's width and treat the rest apart: then this is a plain load.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(float* source, long left, float fill = 0)
        where V : unmanaged, IFloatLane<V> =>
        left >= V.Width ? V.Load(source) : V.LoadPart(source, left, fill);

    /// <summary>Writes the next vector of a row that has <paramref name="left"/> elements left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V value, float* target, long left)
        where V : unmanaged, IFloatLane<V>
    {
        if (left >= V.Width)
            V.Store(value, target);
        else
            V.StorePart(value, target, left);
    }

    /// <summary>Asks for an element that will be read later, into the L2. It may lie outside of all memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fetch(float* element)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(element);
    }

    /// <summary>The largest element that is a number, minus infinity if there is none.</summary>
    public static float Max<V>(float* x, long count)
        where V : unmanaged, IFloatLane<V>
    {
        V a = V.Of(double.NegativeInfinity), b = a;
        long i = 0;
        for (; i + (2 * V.Width) <= count; i += 2 * V.Width)
        {
            a = V.Larger(a, V.Load(x + i));
            b = V.Larger(b, V.Load(x + i + V.Width));
        }

        for (; i < count; i += V.Width)
            a = V.Larger(a, Load<V>(x + i, count - i, float.NegativeInfinity));
        return V.Largest(V.Larger(a, b));
    }

    /// <summary>The sum of <paramref name="term"/>(a, b) over two rows; pass a row twice if the term reads one.</summary>
    /// <remarks>
    /// A term of vectors goes by reference: a copy would be written in smaller pieces than it is read in, and the reading wait for all
    /// stores before it to leave the core.
    /// </remarks>
    public static double Sum<V, TTerm>(in TTerm term, float* a, float* b, long count)
        where V : unmanaged, IFloatLane<V>
        where TTerm : struct, ITerm<V>
    {
        double sum = 0;
        for (long start = 0; start < count; start += Piece)
            sum += SumPiece<V, TTerm>(term, a + start, b + start, Math.Min(Piece, count - start));
        return sum;
    }

    private static double SumPiece<V, TTerm>(in TTerm term, float* a, float* b, long count)
        where V : unmanaged, IFloatLane<V>
        where TTerm : struct, ITerm<V>
    {
        V s = V.Of(0), t = s, u = s, v = s;
        long i = 0;
        for (; i + (4 * V.Width) <= count; i += 4 * V.Width)
        {
            s += term.Of(V.Load(a + i), V.Load(b + i));
            t += term.Of(V.Load(a + i + V.Width), V.Load(b + i + V.Width));
            u += term.Of(V.Load(a + i + (2 * V.Width)), V.Load(b + i + (2 * V.Width)));
            v += term.Of(V.Load(a + i + (3 * V.Width)), V.Load(b + i + (3 * V.Width)));
        }

        for (; i + V.Width <= count; i += V.Width)
            s += term.Of(V.Load(a + i), V.Load(b + i));
        if (i < count && count >= V.Width)
        {
            // The last vector overlaps the one before: what was counted there is blanked out.
            var last = term.Of(V.Load(a + count - V.Width), V.Load(b + count - V.Width));
            s += V.Select(V.Less(LaneNumbers<V>(), V.Of(V.Width - (count - i))), V.Of(0), last);
            i = count;
        }

        double sum = V.Sum(s + t + (u + v));
        if (i < count)
        {
            float* last = stackalloc float[V.Width];
            V.Store(term.Of(V.LoadPart(a + i, count - i, 0), V.LoadPart(b + i, count - i, 0)), last);
            for (int k = 0; i < count; i++, k++)
                sum += last[k];
        }

        return sum;
    }

    // 0, 1, 2, ...
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LaneNumbers<V>()
        where V : unmanaged, IFloatLane<V>
    {
        // Constants lie in the program's image and do not move.
        ReadOnlySpan<float> numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        return V.Load((float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(numbers)));
    }
}

/// <summary>What <see cref="LaneRow.Sum"/> adds up, from the elements of one or two rows.</summary>
internal interface ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    V Of(V a, V b);
}

/// <summary>The elements themselves.</summary>
internal readonly struct Element<V> : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => a;
}

/// <summary>The squared distance from a number.</summary>
internal readonly struct SquaredDeviation<V>(V centre) : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => (a - centre) * (a - centre);
}

/// <summary>The product of two rows, the first taken from a number.</summary>
internal readonly struct CentredProduct<V>(V centre) : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => (a - centre) * b;
}

/// <summary>The product of two rows.</summary>
internal readonly struct Product<V> : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => a * b;
}

/// <summary>exp(scale (x - shift)), of which the shift is the largest x and the scale above 0; NaN for NaN.</summary>
internal readonly struct ShiftedExp<V>(V shift, V scale) : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => LaneMath.ExpOfNegative((a - shift) * scale);
}

/// <summary>The signed distance from a number.</summary>
internal readonly struct Deviation<V>(V centre) : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V a, V b) => a - centre;
}
