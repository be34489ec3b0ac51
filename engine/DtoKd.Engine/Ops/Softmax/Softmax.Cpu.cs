using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Along the last axis, blocks of whole rows: a row is read from memory once. Along another axis, blocks of strips of
/// neighbouring columns, where a vector goes down the axis with the maxima and sums of its columns in registers.
/// </summary>
internal sealed unsafe class SoftmaxCpu : ISoftmaxKernels
{
    private const long Grain = 8192;
    private const int Strip = 128;

    public void Forward(Tensor x, Tensor y, SoftmaxExtent extent, bool logarithm)
    {
        var device = (CpuDevice)x.Device;
        var job = new ForwardJob(x.Pointer<float>(), y.Pointer<float>(), extent, logarithm);
        Run(device, extent, device.Vectors switch
        {
            LaneKind.Lane512 => extent.Inner == 1 ? job.Rows<Lane512> : job.Columns<Lane512>,
            LaneKind.Lane256 => extent.Inner == 1 ? job.Rows<Lane256> : job.Columns<Lane256>,
            _ => extent.Inner == 1 ? job.Rows<LaneVector> : job.Columns<LaneVector>,
        });
    }

    public void Backward(Tensor dy, Tensor y, GradTarget dx, SoftmaxExtent extent, bool logarithm)
    {
        var device = (CpuDevice)y.Device;
        var job = new BackwardJob(
            dy.Pointer<float>(), y.Pointer<float>(), dx.Tensor.Pointer<float>(), extent, logarithm, dx.Accumulate);
        Run(device, extent, device.Vectors switch
        {
            LaneKind.Lane512 => extent.Inner == 1 ? job.Rows<Lane512> : job.Columns<Lane512>,
            LaneKind.Lane256 => extent.Inner == 1 ? job.Rows<Lane256> : job.Columns<Lane256>,
            _ => extent.Inner == 1 ? job.Rows<LaneVector> : job.Columns<LaneVector>,
        });
    }

    // The body gets a range of rows, or of strips.
    private static void Run(CpuDevice device, SoftmaxExtent extent, Action<long, long> body)
    {
        long width = Math.Min(Strip, extent.Inner);
        long units = extent.Inner == 0 ? 0 : extent.Outer * Strips(extent);
        device.Team.ForRange(units, Math.Max(1, Grain / Math.Max(1, width * extent.Length)), body);
    }

    private static long Strips(SoftmaxExtent extent) => (extent.Inner + Strip - 1) / Strip;

    // Where a strip starts, and how many columns it has.
    private static (long Offset, long Width) StripAt(SoftmaxExtent extent, long strip)
    {
        long column = strip % Strips(extent) * Strip;
        return ((strip / Strips(extent) * extent.Length * extent.Inner) + column, Math.Min(Strip, extent.Inner - column));
    }

    private sealed class ForwardJob(float* x, float* y, SoftmaxExtent extent, bool logarithm)
    {
        public void Rows<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            long length = extent.Length;
            for (long row = start; row < end; row++)
            {
                float* from = x + (row * length), to = y + (row * length);
                float max = LaneRow.Max<V>(from, length);
                if (logarithm)
                {
                    double sum = LaneRow.Sum<V, ShiftedExp<V>>(new(V.Of(max), V.Of(1)), from, from, length);
                    Subtract<V>(from, to, max, (float)Math.Log(sum), length);
                }
                else
                {
                    double sum = Exponentials<V>(from, to, max, length);
                    Scale<V>(to, (float)(1 / sum), length);
                }
            }
        }

        public void Columns<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long strip = start; strip < end; strip++)
            {
                var (offset, width) = StripAt(extent, strip);
                long i = 0;
                for (; i + V.Width <= width; i += V.Width)
                    Column<V>(x + offset + i, y + offset + i, extent.Length, extent.Inner, V.Width, logarithm);
                if (i < width)
                    Column<V>(x + offset + i, y + offset + i, extent.Length, extent.Inner, width - i, logarithm);
            }
        }

        private static double Exponentials<V>(float* x, float* y, float max, long length)
            where V : unmanaged, IFloatLane<V>
        {
            var m = V.Of(max);
            double total = 0;
            for (long start = 0; start < length; start += LaneRow.Piece)
            {
                long count = Math.Min(LaneRow.Piece, length - start);
                var sum = V.Of(0);
                long i = start, end = start + count;
                for (; i + V.Width <= end; i += V.Width)
                    sum += Exponential(x + i, y + i, m, V.Width);
                if (i < end)
                    sum += Exponential(x + i, y + i, m, end - i);
                total += V.Sum(sum);
            }

            return total;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V Exponential<V>(float* x, float* y, V max, long left)
            where V : unmanaged, IFloatLane<V>
        {
            var e = LaneMath.ExpOfNegative(LaneRow.Load<V>(x, left, float.NegativeInfinity) - max);
            LaneRow.Store(e, y, left);
            return e;
        }

        private static void Scale<V>(float* y, float factor, long length)
            where V : unmanaged, IFloatLane<V>
        {
            var f = V.Of(factor);
            long i = 0;
            for (; i + V.Width <= length; i += V.Width)
                V.Store(V.Load(y + i) * f, y + i);
            for (; i < length; i++)
                y[i] *= factor;
        }

        private static void Subtract<V>(float* x, float* y, float max, float logSum, long length)
            where V : unmanaged, IFloatLane<V>
        {
            V m = V.Of(max), s = V.Of(logSum);
            long i = 0;
            for (; i + V.Width <= length; i += V.Width)
                V.Store(V.Load(x + i) - m - s, y + i);
            for (; i < length; i++)
                y[i] = x[i] - max - logSum;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Column<V>(float* x, float* y, long length, long inner, long width, bool logarithm)
            where V : unmanaged, IFloatLane<V>
        {
            V max = V.Of(double.NegativeInfinity), sum = V.Of(0);
            for (long i = 0; i < length; i++)
                max = V.Max(max, LaneRow.Load<V>(x + (i * inner), width));
            for (long i = 0; i < length; i++)
            {
                var shifted = LaneRow.Load<V>(x + (i * inner), width) - max;
                var e = LaneMath.ExpOfNegative(shifted);
                LaneRow.Store(logarithm ? shifted : e, y + (i * inner), width);
                sum += e;
            }

            V factor = V.Of(1) / sum, logSum = V.Log(sum);
            for (long i = 0; i < length; i++)
            {
                var v = LaneRow.Load<V>(y + (i * inner), width);
                LaneRow.Store(logarithm ? v - logSum : v * factor, y + (i * inner), width);
            }
        }
    }

    private sealed class BackwardJob(float* dy, float* y, float* dx, SoftmaxExtent extent, bool logarithm, bool accumulate)
    {
        public void Rows<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            long length = extent.Length;
            for (long row = start; row < end; row++)
            {
                long at = row * length;
                double sum = logarithm
                    ? LaneRow.Sum<V, Element<V>>(default, dy + at, dy + at, length)
                    : LaneRow.Sum<V, Product<V>>(default, dy + at, y + at, length);
                Input<V>(dy + at, y + at, dx + at, (float)sum, length);
            }
        }

        public void Columns<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long strip = start; strip < end; strip++)
            {
                var (offset, width) = StripAt(extent, strip);
                long i = 0;
                for (; i + V.Width <= width; i += V.Width)
                    Column<V>(dy + offset + i, y + offset + i, dx + offset + i, V.Width);
                if (i < width)
                    Column<V>(dy + offset + i, y + offset + i, dx + offset + i, width - i);
            }
        }

        private void Input<V>(float* dy, float* y, float* dx, float sum, long length)
            where V : unmanaged, IFloatLane<V>
        {
            var s = V.Of(sum);
            bool add = accumulate, log = logarithm;
            long i = 0;
            for (; i + V.Width <= length; i += V.Width)
                One(dy + i, y + i, dx + i, s, V.Width, log, add);
            if (i < length)
                One(dy + i, y + i, dx + i, s, length - i, log, add);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Column<V>(float* dy, float* y, float* dx, long width)
            where V : unmanaged, IFloatLane<V>
        {
            long length = extent.Length, inner = extent.Inner;
            bool add = accumulate, log = logarithm;
            var sum = V.Of(0);
            for (long i = 0; i < length; i++)
            {
                var d = LaneRow.Load<V>(dy + (i * inner), width);
                sum += log ? d : d * LaneRow.Load<V>(y + (i * inner), width);
            }

            for (long i = 0; i < length; i++)
                One(dy + (i * inner), y + (i * inner), dx + (i * inner), sum, width, log, add);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void One<V>(float* dy, float* y, float* dx, V sum, long left, bool logarithm, bool accumulate)
            where V : unmanaged, IFloatLane<V>
        {
            V d = LaneRow.Load<V>(dy, left), v = LaneRow.Load<V>(y, left);
            d = logarithm ? d - (LaneMath.ExpOfNegative(v) * sum) : v * (d - sum);
            if (accumulate)
                d += LaneRow.Load<V>(dx, left);
            LaneRow.Store(d, dx, left);
        }
    }
}
