using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Whole rows per block: a row is read from memory once and stays in the first cache for the passes after that. The gradients
/// of weight and bias are summed over chunks of rows, whose number depends on the shape alone, and the chunks' sums are added
/// in order, in double.
/// </summary>
internal sealed unsafe class LayerNormCpu : ILayerNormKernels
{
    private const long Grain = 16384;

    public void Forward(
        Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor mean, Tensor rstd, long rows, long length, double eps)
    {
        var device = (CpuDevice)x.Device;
        var job = new ForwardJob(
            Address(x), Address(weight), Address(bias), Address(y), Address(mean), Address(rstd), length, eps);
        device.Team.ForRange(rows, RowsPerBlock(length), device.Vectors switch
        {
            LaneKind.Lane512 => job.Rows<Lane512>,
            LaneKind.Lane256 => job.Rows<Lane256>,
            _ => job.Rows<LaneVector>,
        });
    }

    public void Backward(
        Step step,
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor rstd,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        long rows,
        long length)
    {
        var device = (CpuDevice)x.Device;
        long chunk = Math.Clamp(Grain / Math.Max(1, length), 16, 256);
        int chunks = checked((int)((rows + chunk - 1) / chunk));
        // Both sums of a chunk side by side: [chunks, 2, length].
        float* sums = dweight is null && dbias is null
            ? null
            : step.New([chunks, 2, checked((int)length)], DType.F32, "layer_norm").Pointer<float>();
        var job = new BackwardJob(
            Address(dy), Address(x), Address(weight), Address(mean), Address(rstd), dx, sums, length, chunk);
        device.Team.ForRange(rows, chunk, device.Vectors switch
        {
            LaneKind.Lane512 => job.Rows<Lane512>,
            LaneKind.Lane256 => job.Rows<Lane256>,
            _ => job.Rows<LaneVector>,
        });
        if (dweight is { } w)
            AddChunks(device, sums, w, chunks, length);
        if (dbias is { } b)
            AddChunks(device, sums + length, b, chunks, length);
    }

    private static void AddChunks(CpuDevice device, float* sums, GradTarget target, int chunks, long length)
    {
        float* to = target.Tensor.Pointer<float>();
        bool accumulate = target.Accumulate;
        device.Team.ForRange(length, Math.Max(1, Grain / Math.Max(1, chunks)), (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                double sum = accumulate ? to[i] : 0;
                for (int k = 0; k < chunks; k++)
                    sum += sums[(2 * k * length) + i];
                to[i] = (float)sum;
            }
        });
    }

    private static long RowsPerBlock(long length) => Math.Max(1, Grain / Math.Max(1, length));

    private static float* Address(Tensor? tensor) => tensor is null ? null : tensor.Pointer<float>();

    private sealed class ForwardJob(
        float* x, float* weight, float* bias, float* y, float* mean, float* rstd, long length, double eps)
    {
        public void Rows<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long row = start; row < end; row++)
            {
                float* from = x + (row * length);
                float m = (float)(LaneRow.Sum<V, Element<V>>(default, from, from, length) / length);
                double variance = LaneRow.Sum<V, SquaredDeviation<V>>(new(V.Of(m)), from, from, length) / length;
                float r = (float)(1 / Math.Sqrt(variance + eps));
                mean[row] = m;
                rstd[row] = r;
                Normalise<V>(from, weight, bias, y + (row * length), m, r, length);
            }
        }

        private static void Normalise<V>(float* x, float* weight, float* bias, float* y, float mean, float rstd, long length)
            where V : unmanaged, IFloatLane<V>
        {
            V m = V.Of(mean), r = V.Of(rstd);
            long i = 0;
            for (; i + V.Width <= length; i += V.Width)
                Normalise(x, weight, bias, y, m, r, i, V.Width);
            if (i < length)
                Normalise(x, weight, bias, y, m, r, i, length - i);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Normalise<V>(float* x, float* weight, float* bias, float* y, V mean, V rstd, long i, long left)
            where V : unmanaged, IFloatLane<V>
        {
            var h = (LaneRow.Load<V>(x + i, left) - mean) * rstd;
            if (weight != null)
                h *= LaneRow.Load<V>(weight + i, left);
            if (bias != null)
                h += LaneRow.Load<V>(bias + i, left);
            LaneRow.Store(h, y + i, left);
        }
    }

    private sealed class BackwardJob(
        float* dy, float* x, float* weight, float* mean, float* rstd, GradTarget? dx, float* sums, long length, long chunk)
    {
        private readonly float* _dx = dx is { } target ? target.Tensor.Pointer<float>() : null;
        private readonly bool _accumulate = dx is { Accumulate: true };

        public void Rows<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            float* dweight = sums == null ? null : sums + (start / chunk * 2 * length);
            if (dweight != null)
                new Span<float>(dweight, checked((int)(2 * length))).Clear();
            for (long row = start; row < end; row++)
            {
                long at = row * length;
                double g = 0, gh = 0;
                for (long i = 0; i < length; i += LaneRow.Piece)
                {
                    Sums<V>(
                        dy + at + i,
                        x + at + i,
                        weight == null ? null : weight + i,
                        mean[row],
                        rstd[row],
                        dweight == null ? null : dweight + i,
                        dweight == null ? null : dweight + length + i,
                        Math.Min(LaneRow.Piece, length - i),
                        ref g,
                        ref gh);
                }

                if (_dx != null)
                {
                    (g, gh) = (g / length, gh / length);
                    Input<V>(dy + at, x + at, weight, mean[row], rstd[row], _dx + at, g, gh, length, _accumulate);
                }
            }
        }

        // The row's part of all sums: those over the row, and the chunk's sums over its rows.
        private static void Sums<V>(
            float* dy,
            float* x,
            float* weight,
            float mean,
            float rstd,
            float* dweight,
            float* dbias,
            long count,
            ref double g,
            ref double gh)
            where V : unmanaged, IFloatLane<V>
        {
            V m = V.Of(mean), r = V.Of(rstd), sum = V.Of(0), product = sum;
            long i = 0;
            for (; i + V.Width <= count; i += V.Width)
            {
                var d = Terms(dy, x, weight, dweight, dbias, m, r, i, V.Width, out var h);
                sum += d;
                product = V.MultiplyAdd(d, h, product);
            }

            if (i < count)
            {
                var d = Terms(dy, x, weight, dweight, dbias, m, r, i, count - i, out var h);
                sum += d;
                product = V.MultiplyAdd(d, h, product);
            }

            g += V.Sum(sum);
            gh += V.Sum(product);
        }

        // Adds to the chunk's sums and returns g and h, whose sums over the row the caller takes.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V Terms<V>(
            float* dy, float* x, float* weight, float* dweight, float* dbias, V mean, V rstd, long i, long left, out V h)
            where V : unmanaged, IFloatLane<V>
        {
            var d = LaneRow.Load<V>(dy + i, left);
            h = (LaneRow.Load<V>(x + i, left) - mean) * rstd;
            if (dweight != null)
            {
                LaneRow.Store(V.MultiplyAdd(d, h, LaneRow.Load<V>(dweight + i, left)), dweight + i, left);
                LaneRow.Store(d + LaneRow.Load<V>(dbias + i, left), dbias + i, left);
            }

            return weight == null ? d : d * LaneRow.Load<V>(weight + i, left);
        }

        private static void Input<V>(
            float* dy,
            float* x,
            float* weight,
            float mean,
            float rstd,
            float* dx,
            double g,
            double gh,
            long length,
            bool accumulate)
            where V : unmanaged, IFloatLane<V>
        {
            V m = V.Of(mean), r = V.Of(rstd), meanG = V.Of(g), meanGh = V.Of(gh);
            long i = 0;
            for (; i + V.Width <= length; i += V.Width)
                Input(dy, x, weight, m, r, dx, meanG, meanGh, i, V.Width, accumulate);
            if (i < length)
                Input(dy, x, weight, m, r, dx, meanG, meanGh, i, length - i, accumulate);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Input<V>(
            float* dy, float* x, float* weight, V mean, V rstd, float* dx, V g, V gh, long i, long left, bool accumulate)
            where V : unmanaged, IFloatLane<V>
        {
            var h = (LaneRow.Load<V>(x + i, left) - mean) * rstd;
            var d = LaneRow.Load<V>(dy + i, left);
            if (weight != null)
                d *= LaneRow.Load<V>(weight + i, left);
            // Not fused: of a row of one element, whose mean was rounded, exactly nothing must be left.
            d = V.MultiplyAdd(-h, gh, d - g) * rstd;
            if (accumulate)
                d += LaneRow.Load<V>(dx + i, left);
            LaneRow.Store(d, dx + i, left);
        }
    }
}
