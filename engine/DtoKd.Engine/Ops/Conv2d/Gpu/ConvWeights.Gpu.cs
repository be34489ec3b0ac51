using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Scratch memory with weights in the order in which a kernel reads them. What a norm of fixed statistics multiplies an output
/// channel by is in its weights, what it adds comes behind them.
/// </summary>
internal readonly struct PackedWeights : IDisposable
{
    private readonly Storage _scratch;

    public PackedWeights(GpuDevice device, Tensor w, FixedNorm? norm, ConvWeights.Args args)
    {
        args.Weights = checked(args.Groups * args.Lines * args.Pitch);
        int shifts = norm is null ? 0 : args.Groups * args.Order.Rows, count = args.Weights + shifts;
        // One more, so that a view of no weights has an element.
        _scratch = new Storage(device.Pool, (count + 1L) * sizeof(float), "conv2d weights");
        Weights = args.Y = device.View<float>(_scratch, 0, count + 1);
        Shifts = device.View<float>(_scratch, args.Weights, shifts + 1);
        args.W = GpuDevice.View<float>(w);
        args.HasNorm = norm is null ? 0 : 1;
        args.Weight = norm is null ? Weights : GpuDevice.View<float>(norm.Weight);
        args.Bias = norm is null ? Weights : GpuDevice.View<float>(norm.Bias);
        args.Mean = norm is null ? Weights : GpuDevice.View<float>(norm.Mean);
        args.Variance = norm is null ? Weights : GpuDevice.View<float>(norm.Variance);
        args.Epsilon = norm is null ? 0 : (float)norm.Epsilon;
        args.Count = count;
        GridStride.Launch<ConvWeights, ConvWeights.Args>(device, count, args);
    }

    public ArrayView<float> Weights { get; }

    /// <summary>What is added to each output channel, if there is a norm.</summary>
    public ArrayView<float> Shifts { get; }

    /// <summary>The kernels that are launched before this still find the weights.</summary>
    public void Dispose() => _scratch.Release();
}

/// <summary>
/// Weights [group, tap, depth, row], filled up with zeros to given numbers of rows, of depths, and of lines, which are taps and
/// depths together; then, with a norm, what it adds to each channel.
/// </summary>
internal readonly struct ConvWeights : IKernel<ConvWeights.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            if (i >= args.Weights)
            {
                int channel = i - args.Weights;
                args.Y[i] = args.Bias[channel] - (args.Mean[channel] * Scale(args, channel));
                continue;
            }

            int line = i / args.Pitch, row = i - (line * args.Pitch);
            int group = line / args.Lines, inner = line - (group * args.Lines);
            int tap = inner / args.Depth, depth = inner - (tap * args.Depth);
            float weight = 0;
            if (tap < args.Down.Taps * args.Across.Taps && depth < args.Order.Depth && row < args.Order.Rows)
            {
                int a = tap / args.Across.Taps, b = tap - (a * args.Across.Taps);
                a = args.Down.FirstTap + (a * args.Down.TapStep);
                b = args.Across.FirstTap + (b * args.Across.TapStep);
                weight = args.W[
                    (group * args.Order.GroupStride) + (row * args.Order.RowStride) + (depth * args.Order.DepthStride)
                    + (a * args.Order.KernelWidth) + b];
                if (args.HasNorm != 0)
                    weight *= Scale(args, (group * args.Order.Rows) + row);
            }

            args.Y[i] = weight;
        }
    }

    /// <summary>Terms of a sum that are multiplied between two barriers.</summary>
    public const int Slice = 8;

    private static float Scale(Args args, int channel) => args.Weight[channel] / Ptx.Sqrt(args.Variance[channel] + args.Epsilon);

    /// <summary>Which axis of the weights [O, C / groups, kh, kw] makes rows of the result, and which is summed over.</summary>
    internal readonly struct Order(Conv2dGeometry geometry, bool rowsAreOutputs)
    {
        public readonly int Rows = rowsAreOutputs ? geometry.GroupO : geometry.GroupC;
        public readonly int Depth = rowsAreOutputs ? geometry.GroupC : geometry.GroupO;
        public readonly int RowStride = geometry.KernelArea * (rowsAreOutputs ? geometry.GroupC : 1);
        public readonly int DepthStride = geometry.KernelArea * (rowsAreOutputs ? 1 : geometry.GroupC);
        public readonly int GroupStride = geometry.KernelArea * geometry.GroupC * geometry.GroupO;
        public readonly int KernelWidth = geometry.Kernel.Width;
    }

    internal struct Args
    {
        public ArrayView<float> W, Weight, Bias, Mean, Variance, Y;
        public float Epsilon;

        /// <summary>Numbers to write, and those of them that are weights; lines of a group, rows of a line, depths of a tap.</summary>
        public int Count, Weights, Groups, Lines, Pitch, Depth, HasNorm;

        public Order Order;
        public ConvPhase Down, Across;
    }
}
