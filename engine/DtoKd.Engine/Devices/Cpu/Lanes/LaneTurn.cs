using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>Turns rows, of which each lane has its own, into vectors across the lanes, and back.</summary>
internal static unsafe class LaneTurn
{
    private const int Block = 8;

    /// <summary>target[i * V.Width + lane] = factor * rows[lane][offset + i].</summary>
    /// <param name="rows">A row for each lane.</param>
    /// <param name="offset">Where it begins.</param>
    /// <param name="count">Its elements.</param>
    /// <param name="factor">What they are multiplied by.</param>
    /// <param name="target">As many vectors as a row has elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void In<V>(float** rows, long offset, int count, float factor, float* target)
        where V : unmanaged, IFloatLane<V>
    {
        int turned = Avx.IsSupported && V.Width % Block == 0 ? count & ~3 : 0;
        var f = Vector256.Create(factor);
        for (int lane = 0; turned > 0 && lane < V.Width; lane += Block)
        {
            float* r0 = rows[lane] + offset, r1 = rows[lane + 1] + offset, r2 = rows[lane + 2] + offset, r3 = rows[lane + 3] + offset;
            float* r4 = rows[lane + 4] + offset, r5 = rows[lane + 5] + offset, r6 = rows[lane + 6] + offset, r7 = rows[lane + 7] + offset;
            float* to = target + lane;
            for (int i = 0; i < turned; i += 4, to += 4 * V.Width)
            {
                Turn(Pair(r0 + i, r4 + i), Pair(r1 + i, r5 + i), Pair(r2 + i, r6 + i), Pair(r3 + i, r7 + i),
                    out var t0, out var t1, out var t2, out var t3);
                (t0 * f).Store(to);
                (t1 * f).Store(to + V.Width);
                (t2 * f).Store(to + (2 * V.Width));
                (t3 * f).Store(to + (3 * V.Width));
            }
        }

        for (int i = turned; i < count; i++)
        {
            for (int lane = 0; lane < V.Width; lane++)
                target[(i * V.Width) + lane] = rows[lane][offset + i] * factor;
        }
    }

    /// <summary>rows[lane][offset + i] = factor * source[i * V.Width + lane] for the first lanes, or adds that.</summary>
    /// <param name="source">As many vectors as a row has elements.</param>
    /// <param name="count">Elements of a row.</param>
    /// <param name="factor">What they are multiplied by.</param>
    /// <param name="rows">A row for each lane.</param>
    /// <param name="offset">Where in it to begin.</param>
    /// <param name="lanes">How many lanes are written.</param>
    /// <param name="accumulate">Whether to add to what the rows hold.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Out<V>(float* source, int count, float factor, float** rows, long offset, int lanes, bool accumulate)
        where V : unmanaged, IFloatLane<V>
    {
        int turned = Avx.IsSupported && V.Width % Block == 0 ? count & -Block : 0;
        var f = Vector256.Create(factor);
        for (int i = 0; i < turned; i += Block)
        {
            float* from = source + (i * V.Width);
            long to = offset + i;
            for (int lane = 0; lane < lanes; lane += 4, from += 4)
            {
                float* low = from, high = from + (4 * V.Width);
                Turn(Pair(low, high), Pair(low + V.Width, high + V.Width),
                    Pair(low + (2 * V.Width), high + (2 * V.Width)), Pair(low + (3 * V.Width), high + (3 * V.Width)),
                    out var t0, out var t1, out var t2, out var t3);
                Put(t0 * f, rows[lane] + to, accumulate);
                if (lane + 1 < lanes)
                    Put(t1 * f, rows[lane + 1] + to, accumulate);
                if (lane + 2 < lanes)
                    Put(t2 * f, rows[lane + 2] + to, accumulate);
                if (lane + 3 < lanes)
                    Put(t3 * f, rows[lane + 3] + to, accumulate);
            }
        }

        for (int i = turned; i < count; i++)
        {
            for (int lane = 0; lane < lanes; lane++)
            {
                float value = source[(i * V.Width) + lane] * factor;
                float* to = rows[lane] + offset + i;
                *to = accumulate ? *to + value : value;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector256<float> value, float* target, bool accumulate) =>
        (accumulate ? Vector256.Load(target) + value : value).Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Pair(float* low, float* high) => Vector256.Create(Vector128.Load(low), Vector128.Load(high));

    /// <summary>Of four lines, each with four elements of two matrices, makes four columns, of both matrices each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(
        Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3,
        out Vector256<float> t0, out Vector256<float> t1, out Vector256<float> t2, out Vector256<float> t3)
    {
        Vector256<float> low01 = Avx.UnpackLow(r0, r1), high01 = Avx.UnpackHigh(r0, r1);
        Vector256<float> low23 = Avx.UnpackLow(r2, r3), high23 = Avx.UnpackHigh(r2, r3);
        t0 = Avx.Shuffle(low01, low23, 0x44);
        t1 = Avx.Shuffle(low01, low23, 0xEE);
        t2 = Avx.Shuffle(high01, high23, 0x44);
        t3 = Avx.Shuffle(high01, high23, 0xEE);
    }
}
