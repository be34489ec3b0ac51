using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// One plane after the other, shared out over the threads. A new row is first the weighted sum of whole old rows, in vectors,
/// and then its pixels are sums along it; backward goes the other way round.
/// </summary>
internal sealed unsafe class ResampleCpu : IResampleKernels
{
    // Multiplications of one task.
    private const long Grain = 32768;

    public void Forward(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y) =>
        Run(step, h, w, x, y, backward: false);

    public void Backward(Step step, ResampleAxis h, ResampleAxis w, Tensor dy, Tensor dx) =>
        Run(step, h, w, dx, dy, backward: true);

    private static void Run(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y, bool backward)
    {
        var device = (CpuDevice)x.Device;
        long planes = x.Shape.CountOf(0, 2);
        using var rows = step.NewUnowned([checked((int)planes), w.Size], DType.F32, "interpolate");
        var job = new Job(h, w, x.Pointer<float>(), y.Pointer<float>(), rows.Pointer<float>(), backward);
        long work = h.Count * (((long)h.Taps * w.Size) + ((long)w.Taps * w.Count));
        device.Team.ForRange(planes, Math.Max(1, Grain / work), device.Vectors switch
        {
            LaneKind.Lane512 => job.Planes<Lane512>,
            LaneKind.Lane256 => job.Planes<Lane256>,
            _ => job.Planes<LaneVector>,
        });
    }

    /// <summary>The old planes at x, the new ones at y, and a row of old width for each plane.</summary>
    private sealed class Job(ResampleAxis h, ResampleAxis w, float* x, float* y, float* rows, bool backward)
    {
        private readonly float[] _weightsH = h.Singles();
        private readonly float[] _weightsW = w.Singles();

        public void Planes<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            fixed (float* weightsH = _weightsH, weightsW = _weightsW)
            fixed (int* starts = w.Start, lengths = w.Length)
            {
                for (long plane = start; plane < end; plane++)
                {
                    float* old = x + (plane * h.Size * w.Size), row = rows + (plane * w.Size);
                    for (int i = 0; i < h.Count; i++)
                    {
                        float* source = old + ((long)h.Start[i] * w.Size), target = y + (((plane * h.Count) + i) * w.Count);
                        float* weights = weightsH + ((long)i * h.Taps);
                        if (backward)
                        {
                            SpreadAlong(target, row, w.Size, starts, lengths, weightsW, w.Taps, w.Count);
                            SpreadRows<V>(row, source, w.Size, weights, h.Length[i]);
                        }
                        else
                        {
                            SumRows<V>(source, row, w.Size, weights, h.Length[i]);
                            SumAlong(row, target, starts, lengths, weightsW, w.Taps, w.Count);
                        }
                    }
                }
            }
        }

        private static void SumRows<V>(float* source, float* row, long width, float* weights, int length)
            where V : unmanaged, IFloatLane<V>
        {
            for (long j = 0; j < width; j += V.Width)
            {
                var sum = V.Of(0);
                for (int k = 0; k < length; k++)
                    sum = V.MultiplyAdd(V.Broadcast(weights[k]), LaneRow.Load<V>(source + (k * width) + j, width - j), sum);
                LaneRow.Store(sum, row + j, width - j);
            }
        }

        private static void SpreadRows<V>(float* row, float* target, long width, float* weights, int length)
            where V : unmanaged, IFloatLane<V>
        {
            for (int k = 0; k < length; k++, target += width)
            {
                var weight = V.Broadcast(weights[k]);
                for (long j = 0; j < width; j += V.Width)
                {
                    var sum = LaneRow.Load<V>(target + j, width - j);
                    LaneRow.Store(V.MultiplyAdd(weight, LaneRow.Load<V>(row + j, width - j), sum), target + j, width - j);
                }
            }
        }

        private static void SumAlong(float* row, float* y, int* starts, int* lengths, float* weights, int taps, int count)
        {
            for (int j = 0; j < count; j++, weights += taps)
            {
                float* source = row + starts[j];
                float sum = 0;
                for (int k = 0; k < lengths[j]; k++)
                    sum += weights[k] * source[k];
                y[j] = sum;
            }
        }

        private static void SpreadAlong(
            float* dy, float* row, int width, int* starts, int* lengths, float* weights, int taps, int count)
        {
            new Span<float>(row, width).Clear();
            for (int j = 0; j < count; j++, weights += taps)
            {
                float* target = row + starts[j];
                for (int k = 0; k < lengths[j]; k++)
                    target[k] += weights[k] * dy[j];
            }
        }
    }
}
