using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Sums belong to a channel: one block goes through the planes of its channels in order, so no two threads add to one sum.
/// A plane is read from memory once for mean and squared deviations, which are merged with those of the planes before it
/// (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances", 1979). What is done to
/// each value afterwards is shared out by planes.
/// </summary>
internal sealed unsafe class BatchNormCpu : IBatchNormKernels
{
    private const long Grain = 16384;

    // Below this size, cutting a plane into vectors costs more than its elements.
    private const long SmallPlane = 8;

    public void Statistics(Tensor x, Tensor mean, Tensor variance, BatchNormExtent extent)
    {
        var device = (CpuDevice)x.Device;
        float* px = x.Pointer<float>(), pm = mean.Pointer<float>(), pv = variance.Pointer<float>();
        device.Team.ForRange(extent.Channels, ChannelsPerBlock(extent), (start, end) =>
        {
            for (long c = start; c < end; c++)
            {
                (pm[c], pv[c]) = device.Simd switch
                {
                    SimdLevel.Avx512 => MeanAndVariance<Lane512>(px + (c * extent.Plane), extent),
                    SimdLevel.Avx2 => MeanAndVariance<Lane256>(px + (c * extent.Plane), extent),
                    _ => MeanAndVariance<LaneVector>(px + (c * extent.Plane), extent),
                };
            }
        });
    }

    public void Normalise(
        Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor variance, Tensor y, BatchNormExtent extent, double eps)
    {
        var device = (CpuDevice)x.Device;
        float* px = x.Pointer<float>(), py = y.Pointer<float>(), pm = mean.Pointer<float>(), pv = variance.Pointer<float>();
        float* w = weight is null ? null : weight.Pointer<float>(), b = bias is null ? null : bias.Pointer<float>();
        device.Team.ForRange(extent.Samples * extent.Channels, PlanesPerBlock(extent), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
            {
                long c = plane % extent.Channels, at = plane * extent.Plane;
                float scale = (float)((w == null ? 1 : w[c]) / Math.Sqrt(pv[c] + eps)), shift = b == null ? 0 : b[c];
                switch (device.Simd)
                {
                    case SimdLevel.Avx512:
                        Normalise<Lane512>(px + at, py + at, pm[c], scale, shift, extent.Plane);
                        break;
                    case SimdLevel.Avx2:
                        Normalise<Lane256>(px + at, py + at, pm[c], scale, shift, extent.Plane);
                        break;
                    default:
                        Normalise<LaneVector>(px + at, py + at, pm[c], scale, shift, extent.Plane);
                        break;
                }
            }
        });
    }

    public void Backward(
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor variance,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        BatchNormExtent extent,
        double eps,
        bool batch)
    {
        var device = (CpuDevice)x.Device;
        float* pdy = dy.Pointer<float>(), px = x.Pointer<float>(), pm = mean.Pointer<float>(), pv = variance.Pointer<float>();
        float* w = weight is null ? null : weight.Pointer<float>();
        bool wantsSums = batch || dweight is not null || dbias is not null;
        device.Team.ForRange(extent.Channels, ChannelsPerBlock(extent), (start, end) =>
        {
            for (long c = start; c < end; c++)
            {
                double rstd = 1 / Math.Sqrt(pv[c] + eps), sum = 0, product = 0;
                long at = c * extent.Plane;
                if (wantsSums)
                {
                    (sum, product) = device.Simd switch
                    {
                        SimdLevel.Avx512 => Sums<Lane512>(pdy + at, px + at, pm[c], extent),
                        SimdLevel.Avx2 => Sums<Lane256>(pdy + at, px + at, pm[c], extent),
                        _ => Sums<LaneVector>(pdy + at, px + at, pm[c], extent),
                    };
                }

                if (dx is { } input)
                {
                    // dx = scale dy + slope (x - mean) + shift
                    double scale = rstd * (w == null ? 1 : w[c]);
                    double slope = batch ? -scale * rstd * rstd * product / extent.PerChannel : 0;
                    double shift = batch ? -scale * sum / extent.PerChannel : 0;
                    float* to = input.Tensor.Pointer<float>() + at;
                    switch (device.Simd)
                    {
                        case SimdLevel.Avx512:
                            Input<Lane512>(pdy + at, px + at, to, pm[c], scale, slope, shift, extent, input.Accumulate);
                            break;
                        case SimdLevel.Avx2:
                            Input<Lane256>(pdy + at, px + at, to, pm[c], scale, slope, shift, extent, input.Accumulate);
                            break;
                        default:
                            Input<LaneVector>(pdy + at, px + at, to, pm[c], scale, slope, shift, extent, input.Accumulate);
                            break;
                    }
                }

                Put(dweight, c, product * rstd);
                Put(dbias, c, sum);
            }
        });
    }

    private static long ChannelsPerBlock(BatchNormExtent extent) => Math.Max(1, Grain / Math.Max(1, extent.PerChannel));

    private static long PlanesPerBlock(BatchNormExtent extent) => Math.Max(1, Grain / Math.Max(1, extent.Plane));

    private static void Put(GradTarget? target, long c, double value)
    {
        if (target is { } t)
            t.Tensor.Pointer<float>()[c] = (float)((t.Accumulate ? t.Tensor.Pointer<float>()[c] : 0) + value);
    }

    private static (float Mean, float Variance) MeanAndVariance<V>(float* x, BatchNormExtent extent)
        where V : unmanaged, IFloatLane<V>
    {
        double mean = 0, squares = 0;
        long step = extent.Channels * extent.Plane;
        if (extent.Plane < SmallPlane)
        {
            for (long n = 0; n < extent.Samples; n++)
            {
                for (long i = 0; i < extent.Plane; i++)
                    mean += x[(n * step) + i];
            }

            mean /= extent.PerChannel;
            for (long n = 0; n < extent.Samples; n++)
            {
                for (long i = 0; i < extent.Plane; i++)
                    squares += (x[(n * step) + i] - mean) * (x[(n * step) + i] - mean);
            }

            return ((float)mean, (float)(squares / extent.PerChannel));
        }

        for (long n = 0; n < extent.Samples; n++)
        {
            float* plane = x + (n * step);
            double planeMean = LaneRow.Sum<V, Element<V>>(default, plane, plane, extent.Plane) / extent.Plane;
            // The deviations are taken from a float; what that is off the mean is corrected for.
            float centre = (float)planeMean;
            double off = planeMean - centre;
            squares += LaneRow.Sum<V, SquaredDeviation<V>>(new(V.Of(centre)), plane, plane, extent.Plane);
            squares -= off * off * extent.Plane;
            double difference = planeMean - mean;
            mean += difference / (n + 1);
            squares += difference * difference * extent.Plane * n / (n + 1);
        }

        return ((float)mean, (float)(squares / extent.PerChannel));
    }

    private static void Normalise<V>(float* x, float* y, float mean, float scale, float shift, long count)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Of(mean), s = V.Of(scale), b = V.Of(shift);
        long i = 0;
        for (; i + V.Width <= count; i += V.Width)
            V.Store(V.MultiplyAdd(V.Load(x + i) - m, s, b), y + i);
        for (; i < count; i++)
            y[i] = MathF.FusedMultiplyAdd(x[i] - mean, scale, shift);
    }

    // The sums of dy and of dy (x - mean) over a channel.
    private static (double Sum, double Product) Sums<V>(float* dy, float* x, float mean, BatchNormExtent extent)
        where V : unmanaged, IFloatLane<V>
    {
        double sum = 0, product = 0;
        for (long n = 0; n < extent.Samples; n++)
        {
            long at = n * extent.Channels * extent.Plane;
            if (extent.Plane < SmallPlane)
            {
                for (long i = at; i < at + extent.Plane; i++)
                {
                    sum += dy[i];
                    product += (double)dy[i] * (x[i] - mean);
                }

                continue;
            }

            sum += LaneRow.Sum<V, Element<V>>(default, dy + at, dy + at, extent.Plane);
            product += LaneRow.Sum<V, CentredProduct<V>>(new(V.Of(mean)), x + at, dy + at, extent.Plane);
        }

        return (sum, product);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Input<V>(
        float* dy,
        float* x,
        float* dx,
        float mean,
        double scale,
        double slope,
        double shift,
        BatchNormExtent extent,
        bool accumulate)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Of(mean), a = V.Of(scale), b = V.Of(slope), c = V.Of(shift);
        long count = extent.Plane;
        for (long n = 0; n < extent.Samples; n++)
        {
            long i = n * extent.Channels * count, end = i + count;
            for (; i + V.Width <= end; i += V.Width)
            {
                var d = V.MultiplyAdd(V.Load(x + i) - m, b, V.MultiplyAdd(V.Load(dy + i), a, c));
                V.Store(accumulate ? d + V.Load(dx + i) : d, dx + i);
            }

            for (; i < end; i++)
            {
                float d = MathF.FusedMultiplyAdd(dy[i], (float)scale, (float)shift);
                d = MathF.FusedMultiplyAdd(x[i] - mean, (float)slope, d);
                dx[i] = accumulate ? dx[i] + d : d;
            }
        }
    }
}
