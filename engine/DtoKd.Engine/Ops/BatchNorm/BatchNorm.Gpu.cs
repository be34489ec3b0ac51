using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Sums over a channel go in pieces of fixed length, a group each, whose results a second kernel adds in double precision; a
/// piece's variance is about its own mean, so the values come from memory once. What is done to every value runs by planes, a
/// team of threads each.
/// </summary>
internal sealed class BatchNormGpu : IBatchNormKernels
{
    private const long Piece = 8192;

    public void Forward(BatchNormInputs norm, Tensor? residual, Tensor y)
    {
        if (norm.Batch)
            Statistics(norm);
        var args = new BatchNormPlanes(norm.X, norm, y);
        RowTeam.Launch<BatchNormValues<WarpOfRow>, BatchNormValues<GroupOfRow>, BatchNormPlanes>(
            (GpuDevice)y.Device, norm.Extent.Plane == 0 ? 0 : args.Planes, norm.Extent.Plane, args);
    }

    public void Backward(
        BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, GradTarget? dx, GradTarget? dweight, GradTarget? dbias)
    {
        var extent = norm.Extent;
        if (extent.Channels == 0)
            return;
        var device = (GpuDevice)dy.Device;
        var channels = new BatchNormChannels(extent, Piece);
        var scratch = device.Pool.Rent(2 * (channels.Sums + extent.Channels) * sizeof(float), "batch_norm");
        var totals = device.View<float>(scratch, 2 * channels.Sums, 2 * extent.Channels);
        if (norm.Batch || dweight is not null || dbias is not null)
        {
            var sums = new BatchNormSums
            {
                Dy = GpuDevice.View<float>(dy),
                X = GpuDevice.View<float>(norm.X),
                Mean = GpuDevice.View<float>(norm.Mean),
                Variance = GpuDevice.View<float>(norm.Variance),
                Pieces = device.View<float>(scratch, 0, 2 * channels.Sums),
                Totals = totals,
                Weight = dweight is { } w ? GpuDevice.View<float>(w.Tensor) : totals,
                Bias = dbias is { } b ? GpuDevice.View<float>(b.Tensor) : totals,
                WeightMode = ModeOf(dweight),
                BiasMode = ModeOf(dbias),
                Eps = (float)norm.Eps,
                Channels = channels,
            };
            device.Launcher.Launch<BatchNormPieceSums, BatchNormSums>(channels.Sums, device.GroupSize, sums);
            device.Launcher.Launch<BatchNormChannelSums, BatchNormSums>(extent.Channels, device.GroupSize, sums);
        }

        if (dx is { } target)
        {
            var args = new BatchNormInputArgs
            {
                Of = new BatchNormPlanes(dy, norm, target.Tensor),
                Totals = totals,
                PerChannel = extent.PerChannel,
                Batch = norm.Batch ? 1 : 0,
                Accumulate = target.Accumulate ? 1 : 0,
            };
            RowTeam.Launch<BatchNormInput<WarpOfRow>, BatchNormInput<GroupOfRow>, BatchNormInputArgs>(
                device, extent.Plane == 0 ? 0 : args.Of.Planes, extent.Plane, args);
        }

        scratch.Release();
    }

    /// <summary>running = (1 - momentum) running + momentum batch, of means and of variances times a factor.</summary>
    public static void UpdateRunning(
        Tensor runningMean, Tensor runningVariance, Tensor mean, Tensor variance, double momentum, double factor) =>
        GridStride.Launch<BatchNormRunning, BatchNormRunning.Args>((GpuDevice)mean.Device, mean.Count, new()
        {
            RunningMean = GpuDevice.View<float>(runningMean),
            RunningVariance = GpuDevice.View<float>(runningVariance),
            Mean = GpuDevice.View<float>(mean),
            Variance = GpuDevice.View<float>(variance),
            Count = checked((int)mean.Count),
            Kept = (float)(1 - momentum),
            Momentum = (float)momentum,
            VarianceMomentum = (float)(momentum * factor),
        });

    private static void Statistics(BatchNormInputs norm)
    {
        var extent = norm.Extent;
        if (extent.Channels == 0)
            return;
        var device = (GpuDevice)norm.X.Device;
        var channels = new BatchNormChannels(extent, Piece);
        var scratch = device.Pool.Rent(2 * channels.Sums * sizeof(float), "batch_norm");
        var args = new BatchNormMoments
        {
            X = GpuDevice.View<float>(norm.X),
            Means = device.View<float>(scratch, 0, channels.Sums),
            Squares = device.View<float>(scratch, channels.Sums, channels.Sums),
            Mean = GpuDevice.View<float>(norm.Mean),
            Variance = GpuDevice.View<float>(norm.Variance),
            Channels = channels,
        };
        device.Launcher.Launch<BatchNormPieceMoments, BatchNormMoments>(channels.Sums, device.GroupSize, args);
        device.Launcher.Launch<BatchNormChannelMoments, BatchNormMoments>(extent.Channels, device.GroupSize, args);
        scratch.Release();
    }

    private static int ModeOf(GradTarget? target) => target is null ? 0 : target.Value.Accumulate ? 2 : 1;
}

/// <summary>[samples, channels, plane], a channel of which is cut into pieces.</summary>
internal struct BatchNormChannels
{
    public int Samples, Count, Plane, Piece, Pieces;

    public BatchNormChannels(BatchNormExtent extent, long piece)
    {
        Samples = checked((int)extent.Samples);
        Count = checked((int)extent.Channels);
        Plane = checked((int)extent.Plane);
        Piece = (int)piece;
        Pieces = (int)Math.Max(1, (extent.PerChannel + piece - 1) / piece);
    }

    /// <summary>Pieces of all channels.</summary>
    public readonly long Sums => (long)Count * Pieces;

    /// <summary>Values in a piece of a channel.</summary>
    public readonly int SizeOf(int piece) => IntrinsicMath.Min(Piece, (Samples * Plane) - (piece * Piece));
}

/// <summary>A thread's way through a piece of a channel: its values are a group's size apart, and no step divides.</summary>
internal struct BatchNormWalk
{
    /// <summary>Where the value is.</summary>
    public int At;

    private readonly int _plane, _step, _leap, _stepInPlane;
    private int _inPlane;

    public BatchNormWalk(BatchNormChannels channels, int channel, int piece)
    {
        int first = (piece * channels.Piece) + Group.IdxX, sample = first / channels.Plane, samples = Group.DimX / channels.Plane;
        _plane = channels.Plane;
        _inPlane = first - (sample * _plane);
        _stepInPlane = Group.DimX - (samples * _plane);
        _step = _stepInPlane + (samples * channels.Count * _plane);
        _leap = (channels.Count - 1) * _plane;
        At = (((sample * channels.Count) + channel) * _plane) + _inPlane;
    }

    public void Next()
    {
        At += _step;
        _inPlane += _stepInPlane;
        if (_inPlane >= _plane)
        {
            _inPlane -= _plane;
            At += _leap;
        }
    }
}

internal struct BatchNormMoments
{
    public ArrayView<float> X, Means, Squares, Mean, Variance;
    public BatchNormChannels Channels;
}

/// <summary>Mean and sum of squared deviations from it, of a piece of a channel.</summary>
internal readonly struct BatchNormPieceMoments : IKernel<BatchNormMoments>
{
    public static void Run(BatchNormMoments args)
    {
        int channel = Grid.IdxX / args.Channels.Pieces, piece = Grid.IdxX - (channel * args.Channels.Pieces);
        int count = args.Channels.SizeOf(piece);
        float sum = 0, squares = 0;
        if (Group.IdxX < count)
        {
            var walk = new BatchNormWalk(args.Channels, channel, piece);
            for (int i = Group.IdxX; i < count; i += Group.DimX, walk.Next())
                sum += args.X[walk.At];
        }

        float mean = GroupFold.Of<SumOf>(sum) / count;
        if (Group.IdxX < count)
        {
            var walk = new BatchNormWalk(args.Channels, channel, piece);
            for (int i = Group.IdxX; i < count; i += Group.DimX, walk.Next())
            {
                float centred = args.X[walk.At] - mean;
                squares = Ptx.Fma(centred, centred, squares);
            }
        }

        squares = GroupFold.Of<SumOf>(squares);
        if (Group.IdxX == 0)
        {
            args.Means[Grid.IdxX] = mean;
            args.Squares[Grid.IdxX] = squares;
        }
    }
}

/// <summary>
/// Mean and biased variance of a channel of those of its pieces (Chan, Golub, LeVeque: "Updating formulae and a pairwise
/// algorithm for computing sample variances", 1979).
/// </summary>
internal readonly struct BatchNormChannelMoments : IKernel<BatchNormMoments>
{
    public static void Run(BatchNormMoments args)
    {
        int first = Grid.IdxX * args.Channels.Pieces, values = args.Channels.Samples * args.Channels.Plane;
        double sum = 0, squares = 0;
        for (int piece = Group.IdxX; piece < args.Channels.Pieces; piece += Group.DimX)
            sum += (double)args.Channels.SizeOf(piece) * args.Means[first + piece];
        double mean = GroupFold.Sum(sum) / values;
        for (int piece = Group.IdxX; piece < args.Channels.Pieces; piece += Group.DimX)
        {
            double away = args.Means[first + piece] - mean;
            squares += args.Squares[first + piece] + (args.Channels.SizeOf(piece) * away * away);
        }

        squares = GroupFold.Sum(squares);
        if (Group.IdxX == 0)
        {
            args.Mean[Grid.IdxX] = (float)mean;
            args.Variance[Grid.IdxX] = (float)(squares / values);
        }
    }
}

/// <summary>Planes of values and what their channels have.</summary>
internal struct BatchNormPlanes
{
    /// <summary>Forward, y of x; backward, dx of dy and x.</summary>
    public ArrayView<float> Dy, X, Weight, Bias, Mean, Variance, Y;

    public int HasWeight, HasBias, Channels, Planes, Plane;
    public float Eps;

    public BatchNormPlanes(Tensor dy, BatchNormInputs norm, Tensor y)
    {
        Dy = GpuDevice.View<float>(dy);
        X = GpuDevice.View<float>(norm.X);
        // A view must be valid even where it is not read.
        Weight = GpuDevice.View<float>(norm.Weight ?? norm.X);
        Bias = GpuDevice.View<float>(norm.Bias ?? norm.X);
        Mean = GpuDevice.View<float>(norm.Mean);
        Variance = GpuDevice.View<float>(norm.Variance);
        Y = GpuDevice.View<float>(y);
        HasWeight = norm.Weight is null ? 0 : 1;
        HasBias = norm.Bias is null ? 0 : 1;
        Channels = checked((int)norm.Extent.Channels);
        Planes = checked((int)(norm.Extent.Samples * norm.Extent.Channels));
        Plane = checked((int)norm.Extent.Plane);
        Eps = (float)norm.Eps;
    }

    public readonly float Rstd(int channel) => 1 / Ptx.Sqrt(Variance[channel] + Eps);

    public readonly float WeightOf(int channel) => HasWeight != 0 ? Weight[channel] : 1;
}

internal readonly struct BatchNormValues<TTeam> : IKernel<BatchNormPlanes>
    where TTeam : struct, IRowTeam
{
    public static void Run(BatchNormPlanes args)
    {
        int plane = TTeam.Row;
        if (plane >= args.Planes)
            return;
        int channel = plane % args.Channels, start = plane * args.Plane;
        float mean = args.Mean[channel], scale = args.Rstd(channel) * args.WeightOf(channel);
        float bias = args.HasBias != 0 ? args.Bias[channel] : 0;
        for (int i = TTeam.Rank; i < args.Plane; i += TTeam.Size)
            args.Y[start + i] = Ptx.Fma(args.X[start + i] - mean, scale, bias);
    }
}

internal struct BatchNormSums
{
    public ArrayView<float> Dy, X, Mean, Variance;

    /// <summary>By pieces and by channels: the sums of dy, then those of dy (x - mean) rstd.</summary>
    public ArrayView<float> Pieces, Totals;

    /// <summary>The gradients.</summary>
    public ArrayView<float> Weight, Bias;

    /// <summary>0 for a gradient that is not wanted, 1 to write it, 2 to add it.</summary>
    public int WeightMode, BiasMode;

    public float Eps;
    public BatchNormChannels Channels;
}

/// <summary>The sums of dy and of dy (x - mean) over a piece of a channel.</summary>
internal readonly struct BatchNormPieceSums : IKernel<BatchNormSums>
{
    public static void Run(BatchNormSums args)
    {
        int channel = Grid.IdxX / args.Channels.Pieces, piece = Grid.IdxX - (channel * args.Channels.Pieces);
        int count = args.Channels.SizeOf(piece);
        float mean = args.Mean[channel], sum = 0, product = 0;
        if (Group.IdxX < count)
        {
            var walk = new BatchNormWalk(args.Channels, channel, piece);
            for (int i = Group.IdxX; i < count; i += Group.DimX, walk.Next())
            {
                float dy = args.Dy[walk.At];
                sum += dy;
                product = Ptx.Fma(dy, args.X[walk.At] - mean, product);
            }
        }

        sum = GroupFold.Of<SumOf>(sum);
        product = GroupFold.Of<SumOf>(product);
        if (Group.IdxX == 0)
        {
            args.Pieces[Grid.IdxX] = sum;
            args.Pieces[Grid.IdxX + Grid.DimX] = product;
        }
    }
}

/// <summary>Adds up a channel's pieces.</summary>
internal readonly struct BatchNormChannelSums : IKernel<BatchNormSums>
{
    public static void Run(BatchNormSums args)
    {
        int channel = Grid.IdxX, first = channel * args.Channels.Pieces, products = Grid.DimX * args.Channels.Pieces;
        double sum = 0, product = 0;
        for (int piece = Group.IdxX; piece < args.Channels.Pieces; piece += Group.DimX)
        {
            sum += args.Pieces[first + piece];
            product += args.Pieces[products + first + piece];
        }

        sum = GroupFold.Sum(sum);
        product = GroupFold.Sum(product);
        if (Group.IdxX != 0)
            return;
        float dbias = (float)sum, dweight = (float)product / Ptx.Sqrt(args.Variance[channel] + args.Eps);
        args.Totals[channel] = dbias;
        args.Totals[Grid.DimX + channel] = dweight;
        if (args.WeightMode != 0)
            args.Weight[channel] = args.WeightMode == 2 ? args.Weight[channel] + dweight : dweight;
        if (args.BiasMode != 0)
            args.Bias[channel] = args.BiasMode == 2 ? args.Bias[channel] + dbias : dbias;
    }
}

internal struct BatchNormInputArgs
{
    public BatchNormPlanes Of;
    public ArrayView<float> Totals;
    public float PerChannel;
    public int Batch, Accumulate;
}

/// <summary>dx = rstd weight (dy - mean(dy) - h mean(dy h)) with h = (x - mean) rstd; with fixed statistics rstd weight dy.</summary>
internal readonly struct BatchNormInput<TTeam> : IKernel<BatchNormInputArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(BatchNormInputArgs args)
    {
        int plane = TTeam.Row;
        if (plane >= args.Of.Planes)
            return;
        int channel = plane % args.Of.Channels, start = plane * args.Of.Plane;
        float rstd = args.Of.Rstd(channel), scale = rstd * args.Of.WeightOf(channel), mean = args.Of.Mean[channel];
        float shift = 0, slope = 0;
        if (args.Batch != 0)
        {
            shift = -args.Totals[channel] / args.PerChannel;
            slope = -args.Totals[args.Of.Channels + channel] / args.PerChannel * rstd;
        }

        for (int i = TTeam.Rank; i < args.Of.Plane; i += TTeam.Size)
        {
            float centred = args.Of.Dy[start + i] + shift;
            if (args.Batch != 0)
                centred = Ptx.Fma(args.Of.X[start + i] - mean, slope, centred);
            float d = scale * centred;
            args.Of.Y[start + i] = args.Accumulate != 0 ? args.Of.Y[start + i] + d : d;
        }
    }
}

/// <summary>The running statistics: some thousand numbers at most.</summary>
internal readonly struct BatchNormRunning : IKernel<BatchNormRunning.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            args.RunningMean[i] = (args.Kept * args.RunningMean[i]) + (args.Momentum * args.Mean[i]);
            args.RunningVariance[i] = (args.Kept * args.RunningVariance[i]) + (args.VarianceMomentum * args.Variance[i]);
        }
    }

    internal struct Args
    {
        public ArrayView<float> RunningMean, RunningVariance, Mean, Variance;
        public int Count;
        public float Kept, Momentum, VarianceMomentum;
    }
}
