using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static DtoKd.Engine.Cpu.Split;

namespace DtoKd.Engine.Cpu;

// How the rows of a plane are copied into the scratch and back.
internal sealed unsafe partial class ConvLayout
{
    private static void StoreAlternating(float* even, float* odd, float* to, int count, bool accumulate)
    {
        int i = 0;
        if (Avx512F.IsSupported)
        {
            var first = Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            var second = first + Vector512.Create(8);
            for (; i + 32 <= count; i += 32)
            {
                Vector512<float> a = Vector512.Load(even + (i / 2)), b = Vector512.Load(odd + (i / 2));
                Vector512<float> left = Avx512F.PermuteVar16x32x2(a, first, b), right = Avx512F.PermuteVar16x32x2(a, second, b);
                (accumulate ? left + Vector512.Load(to + i) : left).Store(to + i);
                (accumulate ? right + Vector512.Load(to + i + 16) : right).Store(to + i + 16);
            }
        }

        if (Sse.IsSupported)
        {
            for (; i + 8 <= count; i += 8)
            {
                Vector128<float> a = Vector128.Load(even + (i / 2)), b = Vector128.Load(odd + (i / 2));
                Vector128<float> left = Sse.UnpackLow(a, b), right = Sse.UnpackHigh(a, b);
                (accumulate ? left + Vector128.Load(to + i) : left).Store(to + i);
                (accumulate ? right + Vector128.Load(to + i + 4) : right).Store(to + i + 4);
            }
        }

        for (; i < count; i++)
        {
            float value = (i % 2 == 0 ? even : odd)[i / 2];
            to[i] = accumulate ? to[i] + value : value;
        }
    }

    /// <summary>Stores, or adds, a row's elements at every <paramref name="step"/>-th place; between them zeros, or what is there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void StoreSpread(float* from, float* to, int count, int step, bool accumulate)
    {
        int i = 0;
        if (step == 2 && Avx512F.IsSupported)
        {
            // The places between, as those of a vector of zeros.
            var low = Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
            {
                var values = Avx512F.PermuteVar16x32x2(Vector256.Load(from + (i / 2)).ToVector512(), low, Vector512<float>.Zero);
                (accumulate ? values + Vector512.Load(to + i) : values).Store(to + i);
            }
        }

        for (; i < count; i++)
        {
            float value = i % step == 0 ? from[i / step] : 0;
            to[i] = accumulate ? to[i] + value : value;
        }
    }

    private static void StoreRow(float* from, float* to, int count, int step, bool accumulate)
    {
        for (int j = 0; j < count; j++)
            to[j * step] = accumulate ? to[j * step] + from[j] : from[j];
    }

    private void FillPlane<V>(float* source, int top, int left, int rows, float* target, ChannelNorm? norm)
        where V : unmanaged, IFloatLane<V>
    {
        int step = _w.SourceStep;
        int from = Math.Min(Pitch, left >= 0 ? 0 : Pieces(-left, step));
        int to = Math.Max(from, left >= _sourceW ? 0 : Math.Min(Pitch, ((_sourceW - 1 - left) / step) + 1));
        var channel = norm.GetValueOrDefault();
        V mean = V.Broadcast(channel.Mean), scale = V.Broadcast(channel.Scale);
        V shift = V.Broadcast(channel.Shift), floor = V.Broadcast(channel.Floor);
        for (int i = 0; i < rows; i++, target += Pitch)
        {
            int row = top + (i * _h.SourceStep);
            if (row < 0 || row >= _sourceH)
            {
                new Span<float>(target, Pitch).Clear();
                continue;
            }

            float* line = source + ((long)row * _sourceW) + left;
            for (int j = 0; j < from; j++)
                target[j] = 0;
            if (step == 1 && norm is not null)
            {
                Normalise(line + from, target + from, to - from);
            }
            else if (step == 1)
            {
                CopyRow<V>(line + from, target + from, to - from);
            }
            else if (to > from)
            {
                // The elements skipped behind the last one may lie outside the source.
                ConvPixels.Copy<V>(line + (from * step), step, target + from, to - from - 1);
                target[to - 1] = line[(to - 1) * step];
                if (norm is not null)
                    Normalise(target + from, target + from, to - from);
            }

            for (int j = to; j < Pitch; j++)
                target[j] = 0;
        }

        // In whole vectors, as masked stores take long on some processors: what is behind a row's end is written afterwards. Of two values
        // with one that is not a number, the larger one is the first.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Normalise(float* source, float* target, int count)
        {
            for (int i = 0; i < count; i += V.Width)
                V.Store(V.Larger(V.MultiplyAdd(LaneRow.Load<V>(source + i, count - i) - mean, scale, shift), floor), target + i);
        }
    }

    // In whole vectors: what they write behind a row's end belongs to the next one, or to the room behind a plane. With a stride of 2
    // also the plane of the columns between.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillRows(float* source, int top, int left, int rows, float* target, float* between, ChannelNorm? norm)
    {
        const int Width = 16;
        bool isNormed = norm is not null;
        var channel = norm.GetValueOrDefault();
        Vector512<float> mean = Vector512.Create(channel.Mean), scale = Vector512.Create(channel.Scale);
        Vector512<float> shift = Vector512.Create(channel.Shift), floor = Vector512.Create(channel.Floor);
        bool isDense = _w.SourceStep == 1;
        for (int i = 0; i < rows; i++)
        {
            int row = top + (i * _h.SourceStep);
            float* line = source + ((long)row * _sourceW) + left;
            bool isInside = row >= 0 && row < _sourceH;
            for (int j = 0; j < Pitch; j += Width)
            {
                var value = Vector512<float>.Zero;
                var other = value;
                if (isInside && isDense)
                {
                    LaneRow.Fetch(line + j + FetchedAhead);
                    value = PaddedRow.Load(line, j, -left, _sourceW);
                    if (isNormed)
                        value = Normed(value, j);
                }
                else if (isInside)
                {
                    // The row below is for another plane, which is filled next.
                    float* below = line + _sourceW + (2 * j), ahead = line + (2 * j) + FetchedAhead;
                    LaneRow.Fetch(below);
                    LaneRow.Fetch(below + Width);
                    LaneRow.Fetch(ahead);
                    LaneRow.Fetch(ahead + Width);
                    Vector512<float> a = PaddedRow.Load(line, 2 * j, -left, _sourceW);
                    Vector512<float> b = PaddedRow.Load(line, (2 * j) + Width, -left, _sourceW);
                    if (isNormed)
                        (a, b) = (Normed(a, 2 * j), Normed(b, (2 * j) + Width));
                    (value, other) = (PaddedRow.Even(a, b), PaddedRow.Odd(a, b));
                }

                value.Store(target + j);
                if (between != null)
                    other.Store(between + j);
            }

            target += Pitch;
            if (between != null)
                between += Pitch;
        }

        // Of two values with one that is not a number, this instruction takes the second.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> Normed(Vector512<float> value, int column) => Vector512.ConditionalSelect(
            PaddedRow.Inside(column, -left, _sourceW),
            Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(value - mean, scale, shift)),
            Vector512<float>.Zero);
    }

    // Rows are short: the rest of one is copied by a vector that ends with it, over what the one before has copied.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void CopyRow<V>(float* from, float* to, int count)
        where V : unmanaged, IFloatLane<V>
    {
        if (count >= V.Width)
        {
            for (int i = 0; i + V.Width <= count; i += V.Width)
                V.Store(V.Load(from + i), to + i);
            V.Store(V.Load(from + count - V.Width), to + count - V.Width);
        }
        else if (count >= Vector128<float>.Count)
        {
            int last = count - Vector128<float>.Count;
            var end = Vector128.Load(from + last);
            for (int i = 0; i < last; i += Vector128<float>.Count)
                Vector128.Store(Vector128.Load(from + i), to + i);
            Vector128.Store(end, to + last);
        }
        else
        {
            for (int i = 0; i < count; i++)
                to[i] = from[i];
        }
    }
}
