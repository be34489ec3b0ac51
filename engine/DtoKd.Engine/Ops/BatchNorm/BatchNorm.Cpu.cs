using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Sums belong to a channel: one block goes through the planes of its channels in order, so no two threads add to one sum. What is
/// done to each value afterwards is done in the same block, while the channel is in the cache: forward and backward each read it from
/// memory once, and ask for later channels while they do it (<see cref="Ahead"/>). Mean and squared deviations of a few planes are taken
/// together and merged with those of the planes before (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing
/// sample variances", 1979).
/// </summary>
internal sealed unsafe class BatchNormCpu : IBatchNormKernels
{
    private const long Grain = 16384;

    // How far ahead in a plane's elements: of small planes the next channel would be needed before it has come.
    private const long FetchedPlanes = 400;

    // Where planes follow one another; 400 takes the same time.
    private const long FetchedAhead = 1024;

    // Results of 16 MiB and more would drive everything else out of most caches before they are read.
    private const long StoredPast = 4 << 20;

    // Below this size, cutting a plane into vectors costs more than its elements.
    private const long SmallPlane = 8;

    public void Forward(BatchNormInputs norm, Tensor? residual, Tensor y)
    {
        switch (((CpuDevice)y.Device).Vectors)
        {
            case LaneKind.Lane512:
                Forward<Lane512>(norm, residual, y);
                break;
            case LaneKind.Lane256:
                Forward<Lane256>(norm, residual, y);
                break;
            default:
                Forward<LaneVector>(norm, residual, y);
                break;
        }
    }

    public void Backward(
        BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, GradTarget? dx, GradTarget? dweight, GradTarget? dbias)
    {
        switch (((CpuDevice)dy.Device).Vectors)
        {
            case LaneKind.Lane512:
                Backward<Lane512>(norm, dy, y, dz, dx, dweight, dbias);
                break;
            case LaneKind.Lane256:
                Backward<Lane256>(norm, dy, y, dz, dx, dweight, dbias);
                break;
            default:
                Backward<LaneVector>(norm, dy, y, dz, dx, dweight, dbias);
                break;
        }
    }

    private static void Forward<V>(BatchNormInputs norm, Tensor? residual, Tensor y)
        where V : unmanaged, IFloatLane<V>
    {
        var extent = norm.Extent;
        float* px = norm.X.Pointer<float>(), py = y.Pointer<float>(), pr = residual is null ? null : residual.Pointer<float>();
        bool past = extent.Channels * extent.PerChannel >= StoredPast && extent.Plane % V.Width == 0 && (nint)py % (V.Width * sizeof(float)) == 0;
        if (norm.IsKnown)
        {
            Normalise<V>(norm, px, pr, py, past);
            return;
        }

        float* mean = norm.Mean.Pointer<float>(), variance = norm.Variance.Pointer<float>();
        Team(norm).ForRange(extent.Channels, GrainOf(extent), (start, end) =>
        {
            for (long c = start; c < end; c++)
            {
                (mean[c], variance[c]) = MeanAndVariance<V>(px + (c * extent.Plane), extent);
                var channel = new ChannelNorm(mean[c], (float)norm.ScaleOf(c), norm.ShiftOf(c), ChannelNorm.FloorOf(norm.Relu));
                long ahead = Ahead(extent, c);
                for (long n = 0; n < extent.Samples; n++)
                {
                    long at = ((n * extent.Channels) + c) * extent.Plane;
                    Normalise<V>(channel, px + at, pr == null ? null : pr + at, py + at, past, extent.Plane, ahead);
                }
            }

            // Other threads must not find what was there before.
            if (past && Sse.IsSupported)
                Sse.StoreFence();
        });
    }

    /// <summary>By known statistics, in the order of memory: a thread has the images that it has in the operations before and behind.</summary>
    private static void Normalise<V>(BatchNormInputs norm, float* x, float* residual, float* y, bool past)
        where V : unmanaged, IFloatLane<V>
    {
        var extent = norm.Extent;
        using var channels = new ChannelNorms(norm);
        Team(norm).ForRange(extent.Samples * extent.Channels, Math.Max(1, Grain / Math.Max(1, extent.Plane)), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
            {
                long at = plane * extent.Plane;
                Normalise<V>(
                    channels[plane % extent.Channels], x + at, residual == null ? null : residual + at, y + at, past, extent.Plane, FetchedAhead);
            }

            if (past && Sse.IsSupported)
                Sse.StoreFence();
        });
    }

    private static void Backward<V>(
        BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, GradTarget? dx, GradTarget? dweight, GradTarget? dbias)
        where V : unmanaged, IFloatLane<V>
    {
        var extent = norm.Extent;
        float* px = norm.X.Pointer<float>(), pdy = dy.Pointer<float>(), pdz = dz.Pointer<float>();
        float* py = y is null ? null : y.Pointer<float>();
        bool wantsSums = norm.Batch || dweight is not null || dbias is not null || y is not null;
        bool recomputes = norm.Relu && y is null;
        Team(norm).ForRange(extent.Channels, GrainOf(extent), (start, end) =>
        {
            for (long c = start; c < end; c++)
            {
                var channel = new Channel(norm, c);
                double sum = 0, product = 0;
                long at = c * extent.Plane;
                if (wantsSums)
                    (sum, product) = Sums<V>(channel, pdy + at, px + at, py == null ? null : py + at, pdz + at, recomputes, extent);

                if (dx is { } input)
                {
                    // dx = scale dz + slope (x - mean) + shift
                    double scale = channel.ExactScale, rstd = channel.Rstd;
                    double slope = norm.Batch ? -scale * rstd * rstd * product / extent.PerChannel : 0;
                    double shift = norm.Batch ? -scale * sum / extent.PerChannel : 0;
                    Input<V>(
                        channel, pdz + at, px + at, py == null ? null : py + at, input.Tensor.Pointer<float>() + at, slope, shift,
                        recomputes, extent, input.Accumulate, Ahead(extent, c));
                }

                Put(dweight, c, product * channel.Rstd);
                Put(dbias, c, sum);
            }
        });
    }

    private static ThreadTeam Team(BatchNormInputs norm) => ((CpuDevice)norm.X.Device).Team;

    private static long GrainOf(BatchNormExtent extent) => Math.Max(1, Grain / Math.Max(1, extent.PerChannel));

    /// <summary>
    /// How far on lies a channel that will be read soon, 0 if there is none. While a channel comes from the caches, for the second
    /// time, that one can come from memory. It is mostly for the same thread (<see cref="ThreadTeam"/>): were it for another that
    /// writes there, its lines would travel between the cores.
    /// </summary>
    private static long Ahead(BatchNormExtent extent, long c)
    {
        long channels = Math.Max(1, FetchedPlanes / extent.Plane);
        return c + channels < extent.Channels ? channels * extent.Plane : 0;
    }

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

        long planes = Math.Max(1, LaneRow.Piece / extent.Plane), done = 0;
        for (long n = 0; n < extent.Samples; n += planes)
        {
            long run = Math.Min(planes, extent.Samples - n), count = run * extent.Plane;
            float* start = x + (n * step);
            double runMean = SumOfPlanes<V, Element<V>>(default, 0, start, step, run, extent.Plane) / count;
            // The deviations are taken from a float; what that is off the mean is corrected for.
            float centre = (float)runMean;
            double off = runMean - centre;
            squares += SumOfPlanes<V, SquaredDeviation<V>>(new(V.Broadcast(centre)), centre, start, step, run, extent.Plane);
            squares -= off * off * count;
            double difference = runMean - mean;
            mean += difference * count / (done + count);
            squares += difference * difference * count * done / (done + count);
            done += count;
        }

        return ((float)mean, (float)(squares / extent.PerChannel));
    }

    // The sum of a term over neighbouring planes, at most a piece of them or one; the term of what is missing is 0.
    private static double SumOfPlanes<V, TTerm>(in TTerm term, float missing, float* x, long stride, long planes, long plane)
        where V : unmanaged, IFloatLane<V>
        where TTerm : struct, ITerm<V>
    {
        if (planes == 1)
            return LaneRow.Sum<V, TTerm>(term, x, x, plane);
        V sum = V.Of(0), second = sum;
        for (long n = 0; n < planes; n++, x += stride)
        {
            long i = 0;
            for (; i + (2 * V.Width) <= plane; i += 2 * V.Width)
            {
                V a = V.Load(x + i), b = V.Load(x + i + V.Width);
                sum += term.Of(a, a);
                second += term.Of(b, b);
            }

            for (; i < plane; i += V.Width)
            {
                var a = LaneRow.Load<V>(x + i, plane - i, missing);
                sum += term.Of(a, a);
            }
        }

        return V.Sum(sum + second);
    }

    private static void Normalise<V>(
        ChannelNorm channel, float* x, float* residual, float* y, bool past, long count, long ahead)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Broadcast(channel.Mean), s = V.Broadcast(channel.Scale), b = V.Broadcast(channel.Shift), floor = V.Broadcast(channel.Floor);
        for (long i = 0; i < count; i += V.Width)
        {
            long left = count - i;
            LaneRow.Fetch(x + i + ahead);
            if (!past)
                LaneRow.Fetch(y + i + ahead);
            if (residual != null)
                LaneRow.Fetch(residual + i + ahead);
            var value = V.MultiplyAdd(LaneRow.Load<V>(x + i, left) - m, s, b);
            if (residual != null)
                value += LaneRow.Load<V>(residual + i, left);
            value = V.Max(value, floor);
            if (past)
                V.StorePast(value, y + i);
            else
                LaneRow.Store(value, y + i, left);
        }
    }

    // The sums of dz and of dz (x - mean) over a channel, in vectors over pieces of it, whose results are added in double.
    private static (double Sum, double Product) Sums<V>(
        Channel channel, float* dy, float* x, float* y, float* dz, bool recomputes, BatchNormExtent extent)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Broadcast(channel.Mean), s = V.Broadcast(channel.Scale), b = V.Broadcast(channel.Shift);
        V sum = V.Of(0), product = sum;
        double sums = 0, products = 0;
        long added = 0;
        for (long n = 0; n < extent.Samples; n++)
        {
            long start = n * extent.Channels * extent.Plane, end = start + extent.Plane;
            while (start < end)
            {
                long stop = Math.Min(end, start + LaneRow.Piece);
                for (long i = start; i < stop; i += V.Width)
                {
                    // Missing elements have a gradient of 0.
                    long left = stop - i;
                    V d = LaneRow.Load<V>(dy + i, left), centred = LaneRow.Load<V>(x + i, left) - m;
                    if (y != null)
                    {
                        d = Gate(d, LaneRow.Load<V>(y + i, left));
                        LaneRow.Store(d, dz + i, left);
                    }
                    else if (recomputes)
                    {
                        d = Gate(d, V.MultiplyAdd(centred, s, b));
                    }

                    sum += d;
                    product = V.MultiplyAdd(d, centred, product);
                }

                added += stop - start;
                start = stop;
                if (added >= LaneRow.Piece)
                {
                    sums += V.Sum(sum);
                    products += V.Sum(product);
                    (sum, product, added) = (V.Of(0), V.Of(0), 0);
                }
            }
        }

        return (sums + V.Sum(sum), products + V.Sum(product));
    }

    private static void Input<V>(
        Channel channel, float* dz, float* x, float* y, float* dx, double slope, double shift, bool recomputes,
        BatchNormExtent extent, bool accumulate, long ahead)
        where V : unmanaged, IFloatLane<V>
    {
        V m = V.Broadcast(channel.Mean), s = V.Broadcast(channel.Scale), b = V.Broadcast(channel.Shift);
        V p = V.Of(slope), q = V.Of(shift);
        for (long n = 0; n < extent.Samples; n++)
        {
            long start = n * extent.Channels * extent.Plane, end = start + extent.Plane;
            for (long i = start; i < end; i += V.Width)
            {
                long left = end - i;
                LaneRow.Fetch(dz + i + ahead);
                LaneRow.Fetch(x + i + ahead);
                if (y != null)
                    LaneRow.Fetch(y + i + ahead);
                if (dx != dz)
                    LaneRow.Fetch(dx + i + ahead);
                V d = LaneRow.Load<V>(dz + i, left), centred = LaneRow.Load<V>(x + i, left) - m;
                if (recomputes)
                    d = Gate(d, V.MultiplyAdd(centred, s, b));
                d = V.MultiplyAdd(centred, p, V.MultiplyAdd(d, s, q));
                LaneRow.Store(accumulate ? d + LaneRow.Load<V>(dx + i, left) : d, dx + i, left);
            }
        }
    }

    /// <summary>The gradient behind a ReLU: 0 where its result is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Gate<V>(V dy, V y)
        where V : unmanaged, IFloatLane<V> => V.Select(V.Less(V.Of(0), y), dy, V.Of(0));

    /// <summary>What the values of a channel have in common: y = Scale (x - Mean) + Shift.</summary>
    private readonly struct Channel
    {
        public Channel(BatchNormInputs norm, long c)
        {
            Mean = norm.Mean.Pointer<float>()[c];
            Rstd = norm.RstdOf(c);
            ExactScale = norm.ScaleOf(c);
            Shift = norm.ShiftOf(c);
        }

        public float Mean { get; }

        public double Rstd { get; }

        public double ExactScale { get; }

        public float Scale => (float)ExactScale;

        public float Shift { get; }
    }
}
