using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Copies a block of A or B into panels: <c>width</c> lines (rows of A, columns of B) interleaved step by step along K, which is
/// the order the micro-kernel reads them in.
/// </summary>
internal static unsafe class Packing
{
    /// <summary>Elements that <see cref="Pack"/> may write past the last panel.</summary>
    public const int Overrun = 8;

    private const int Lanes = 8;

    /// <summary>Packs [lines, depth] into ceil(lines / width) panels of [depth, width]; missing lines become zeros, or repeat one.</summary>
    /// <param name="source">Line 0, step 0. Nothing outside the lines and steps is read.</param>
    /// <param name="lineStride">Elements from one line to the next.</param>
    /// <param name="stepStride">Elements from one step to the next.</param>
    /// <param name="lines">Lines of the block.</param>
    /// <param name="depth">Steps along K.</param>
    /// <param name="width">Lines of a panel.</param>
    /// <param name="target">
    /// The panels, one after the other. When width is no multiple of 8, up to <see cref="Overrun"/> elements behind them are
    /// overwritten too.
    /// </param>
    public static void Pack(
        float* source, long lineStride, long stepStride, int lines, int depth, int width, float* target)
    {
        if (stepStride == 1 && Avx.IsSupported)
        {
            for (int line = 0; line < lines; line += width)
                Transpose(source + (line * lineStride), lineStride, Math.Min(width, lines - line), depth, width, target + ((long)line * depth));
            return;
        }

        if (lineStride == 1)
        {
            PackSteps(source, stepStride, lines, depth, width, target, (long)depth * width);
            return;
        }

        for (int line = 0; line < lines; line += width)
            PackAny(source + (line * lineStride), lineStride, stepStride, Math.Min(width, lines - line), depth, width, target + ((long)line * depth));
    }

    /// <summary>
    /// Packs some steps, in each of which the lines lie side by side, into panels that may be of more steps. It writes nothing beside them.
    /// </summary>
    /// <param name="source">Line 0 of the first step. Nothing outside the lines and steps is read.</param>
    /// <param name="stepStride">Elements from one step to the next.</param>
    /// <param name="lines">Lines.</param>
    /// <param name="depth">Steps.</param>
    /// <param name="width">Lines of a panel.</param>
    /// <param name="target">The first step's place in the first panel.</param>
    /// <param name="panelLength">Elements from one panel to the next.</param>
    public static void PackSteps(float* source, long stepStride, int lines, int depth, int width, float* target, long panelLength)
    {
        int whole = lines / width, rest = lines % width;
        Copy(source, stepStride, whole, depth, width, target, panelLength);
        if (rest > 0)
            PackAny(source + (whole * width), 1, stepStride, rest, depth, width, target + (whole * panelLength));
    }

    /// <summary>One panel, any strides, with zeros for missing lines.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackAny(
        float* source, long lineStride, long depthStride, int lines, int depth, int width, float* target)
    {
        for (int step = 0; step < depth; step++)
        {
            float* line = source;
            int i = 0;
            for (; i < lines; i++, line += lineStride)
                target[i] = *line;
            for (; i < width; i++)
                target[i] = 0;
            source += depthStride;
            target += width;
        }
    }

    /// <summary>Lines side by side in memory: each step of a panel is one short copy.</summary>
    /// <remarks>
    /// Eight steps of all panels at a time, so that the rows of the source are read in whole cache lines and each panel is
    /// written in runs of several.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Copy(float* source, long depthStride, int panels, int depth, int width, float* target, long panelLength)
    {
        for (int first = 0; first < depth; first += Lanes)
        {
            int last = Math.Min(first + Lanes, depth);
            for (int panel = 0; panel < panels; panel++)
            {
                float* from = source + first * depthStride + (long)panel * width;
                float* to = target + (panel * panelLength) + (first * width);
                for (int step = first; step < last; step++)
                {
                    // A long stride hides the pattern from the processor's own prefetcher.
                    if (Sse.IsSupported)
                        Sse.Prefetch0(from + Lanes * depthStride);
                    CopyLine(from, to, width);
                    from += depthStride;
                    to += width;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyLine(float* from, float* to, int width)
    {
        if (width < Lanes)
        {
            // 4 to 7 elements: two vectors of four that overlap.
            Vector128.Load(from).Store(to);
            Vector128.Load(from + width - 4).Store(to + width - 4);
            return;
        }

        for (int i = 0; i <= width - Lanes; i += Lanes)
            Vector256.Load(from + i).Store(to + i);
        if (width % Lanes != 0)
            Vector256.Load(from + width - Lanes).Store(to + width - Lanes);
    }

    /// <summary>Lines far apart, steps side by side: squares of 8 x 4 are transposed in registers.</summary>
    /// <remarks>
    /// A group of fewer than eight lines still stores eight: the surplus falls on the beginning of the next step, which is
    /// written afterwards. Hence the last group of lines goes first, and steps go upwards.
    /// </remarks>
    private static void Transpose(float* source, long lineStride, int lines, int depth, int width, float* target)
    {
        int steps = depth & ~3;
        for (int group = (width - 1) / Lanes * Lanes; group >= 0; group -= Lanes)
        {
            int first = Math.Min(group, lines - 1), count = Math.Clamp(lines - group, 1, Math.Min(Lanes, width - group));
            TransposeGroup(source + (first * lineStride), lineStride, count, steps, target + group, width);
        }

        if (steps < depth)
            PackAny(source + steps, lineStride, 1, lines, depth - steps, width, target + steps * width);
    }

    /// <summary>Lines become columns: target[step * targetStride + line]. Columns beyond the lines repeat some of them.</summary>
    /// <param name="source">Line 0, step 0; a line is contiguous.</param>
    /// <param name="lineStride">Elements from one line to the next.</param>
    /// <param name="lines">Lines; at least one.</param>
    /// <param name="depth">Steps of a line: rows of the result.</param>
    /// <param name="target">The result.</param>
    /// <param name="targetStride">Columns of the result, a multiple of 8.</param>
    public static void Transpose(float* source, long lineStride, int lines, int depth, float* target, int targetStride)
    {
        int steps = Avx.IsSupported ? depth & ~3 : 0;
        for (int column = 0; column < targetStride; column += Lanes)
        {
            int line = Math.Min(column, lines - 1), count = Math.Clamp(lines - column, 1, Lanes);
            float* first = source + (line * lineStride);
            if (steps > 0)
                TransposeGroup(first, lineStride, count, steps, target + column, targetStride);
            for (int step = steps; step < depth; step++)
            {
                for (int i = 0; i < Lanes; i++)
                    target[((long)step * targetStride) + column + i] = first[(Math.Min(i, count - 1) * lineStride) + step];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeGroup(float* source, long lineStride, int lines, int steps, float* target, int width)
    {
        // Lines beyond the group repeat its last one: their values are overwritten, but must be readable.
        float* s0 = source;
        float* s1 = lines > 1 ? s0 + lineStride : s0;
        float* s2 = lines > 2 ? s1 + lineStride : s1;
        float* s3 = lines > 3 ? s2 + lineStride : s2;
        float* s4 = lines > 4 ? s3 + lineStride : s3;
        float* s5 = lines > 5 ? s4 + lineStride : s4;
        float* s6 = lines > 6 ? s5 + lineStride : s5;
        float* s7 = lines > 7 ? s6 + lineStride : s6;
        for (int step = 0; step < steps; step += 4)
        {
            var r0 = Vector256.Create(Vector128.Load(s0 + step), Vector128.Load(s4 + step));
            var r1 = Vector256.Create(Vector128.Load(s1 + step), Vector128.Load(s5 + step));
            var r2 = Vector256.Create(Vector128.Load(s2 + step), Vector128.Load(s6 + step));
            var r3 = Vector256.Create(Vector128.Load(s3 + step), Vector128.Load(s7 + step));
            var low01 = Avx.UnpackLow(r0, r1);
            var high01 = Avx.UnpackHigh(r0, r1);
            var low23 = Avx.UnpackLow(r2, r3);
            var high23 = Avx.UnpackHigh(r2, r3);
            Avx.Shuffle(low01, low23, 0x44).Store(target);
            Avx.Shuffle(low01, low23, 0xEE).Store(target + width);
            Avx.Shuffle(high01, high23, 0x44).Store(target + 2 * width);
            Avx.Shuffle(high01, high23, 0xEE).Store(target + 3 * width);
            target += 4 * width;
        }
    }
}
