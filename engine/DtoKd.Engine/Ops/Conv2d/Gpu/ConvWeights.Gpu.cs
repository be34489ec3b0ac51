using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Scratch memory with weights in the order in which a kernel reads them. What a norm of fixed statistics multiplies an output
/// channel by is in its weights, what it adds comes behind them.
/// </summary>
internal readonly struct PackedWeights : IDisposable
{
    private readonly Storage _scratch;

    private PackedWeights(GpuDevice device, int weights, int shifts)
    {
        // One more, so that a view of no weights has an element.
        Count = checked(weights + shifts);
        _scratch = device.Pool.Rent((Count + 1L) * sizeof(float), "conv2d weights");
        Weights = device.View<float>(_scratch, 0, Count + 1L);
        Shifts = device.View<float>(_scratch, weights, shifts + 1L);
    }

    public ArrayView<float> Weights { get; }

    /// <summary>What is added to each output channel, if there is a norm.</summary>
    public ArrayView<float> Shifts { get; }

    private int Count { get; }

    /// <summary>Packs.</summary>
    /// <typeparam name="TKernel">In what order.</typeparam>
    /// <param name="device">Where.</param>
    /// <param name="w">[O, C / groups, kh, kw].</param>
    /// <param name="norm">Multiplies the output channels, or null.</param>
    /// <param name="args">The sizes, and how many numbers there will be.</param>
    public static PackedWeights By<TKernel>(GpuDevice device, Tensor w, FixedNorm? norm, ConvWeightArgs args)
        where TKernel : struct, IKernel<ConvWeightArgs>
    {
        var packed = new PackedWeights(device, args.Weights, norm is null ? 0 : args.Groups * args.Order.Rows);
        args.Y = packed.Weights;
        args.Count = packed.Count;
        args.W = GpuDevice.View<float>(w);
        args.HasNorm = norm is null ? 0 : 1;
        args.Weight = norm is null ? args.Y : GpuDevice.View<float>(norm.Weight);
        args.Bias = norm is null ? args.Y : GpuDevice.View<float>(norm.Bias);
        args.Mean = norm is null ? args.Y : GpuDevice.View<float>(norm.Mean);
        args.Variance = norm is null ? args.Y : GpuDevice.View<float>(norm.Variance);
        args.Epsilon = norm is null ? 0 : (float)norm.Epsilon;
        GridStride.Launch<TKernel, ConvWeightArgs>(device, args.Count, args);
        return packed;
    }

    /// <summary>The kernels that are launched before this still find the weights.</summary>
    public void Dispose() => _scratch.Release();
}

/// <summary>Which axis of the weights [O, C / groups, kh, kw] makes rows of the result, and which is summed over.</summary>
internal readonly struct ConvOrder(Conv2dGeometry geometry, bool rowsAreOutputs)
{
    public readonly int Rows = rowsAreOutputs ? geometry.GroupO : geometry.GroupC;
    public readonly int Depth = rowsAreOutputs ? geometry.GroupC : geometry.GroupO;
    public readonly int RowStride = geometry.KernelArea * (rowsAreOutputs ? geometry.GroupC : 1);
    public readonly int DepthStride = geometry.KernelArea * (rowsAreOutputs ? 1 : geometry.GroupC);
    public readonly int GroupStride = geometry.KernelArea * geometry.GroupC * geometry.GroupO;
    public readonly int KernelWidth = geometry.Kernel.Width;
}

/// <summary>What kernels that pack weights take.</summary>
internal struct ConvWeightArgs
{
    public ArrayView<float> W, Weight, Bias, Mean, Variance, Y;
    public float Epsilon;

    /// <summary>
    /// Numbers to write, and those of them that are weights; the length of a group's or a row's inner axis, rows that lie side by side,
    /// channels or words of a tap.
    /// </summary>
    public int Count, Weights, Groups, Lines, Pitch, Depth, HasNorm;

    public ConvOrder Order;
    public ConvPhase Down, Across;

    /// <summary>A weight with the norm's factor; 0 where there is none.</summary>
    public readonly float At(int group, int row, int tap, int depth)
    {
        if (tap >= Down.Taps * Across.Taps || depth >= Order.Depth || row >= Order.Rows)
            return 0;
        int a = tap / Across.Taps, b = tap - (a * Across.Taps);
        a = Down.FirstTap + (a * Down.TapStep);
        b = Across.FirstTap + (b * Across.TapStep);
        float weight = W[
            (group * Order.GroupStride) + (row * Order.RowStride) + (depth * Order.DepthStride) + (a * Order.KernelWidth) + b];
        return HasNorm == 0 ? weight : weight * Scale((group * Order.Rows) + row);
    }

    /// <summary>What the norm adds to a channel.</summary>
    public readonly float Shift(int channel) => Bias[channel] - (Mean[channel] * Scale(channel));

    private readonly float Scale(int channel) => Weight[channel] / Ptx.Sqrt(Variance[channel] + Epsilon);
}

/// <summary>Weights [group, tap, depth, row], filled up with zeros to the numbers of lines, depths and rows.</summary>
internal readonly struct ConvWeights : IKernel<ConvWeightArgs>
{
    /// <summary>Terms of a sum that are multiplied between two barriers.</summary>
    public const int Slice = 8;

    public static void Run(ConvWeightArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.Pitch, row = i - (line * args.Pitch);
            int group = line / args.Lines, inner = line - (group * args.Lines), tap = inner / args.Depth;
            args.Y[i] = i < args.Weights ? args.At(group, row, tap, inner - (tap * args.Depth)) : args.Shift(i - args.Weights);
        }
    }
}

/// <summary>Weights [group, row, tap, word] for the tensor cores, filled up with zeros to the number of words.</summary>
internal readonly struct ConvWordWeights<TNumber> : IKernel<ConvWeightArgs>
    where TNumber : struct, IPackedNumber
{
    public static void Run(ConvWeightArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            if (i >= args.Weights)
            {
                args.Y[i] = args.Shift(i - args.Weights);
                continue;
            }

            int line = i / args.Lines, inner = i - (line * args.Lines), tap = inner / args.Depth;
            int group = line / args.Order.Rows, row = line - (group * args.Order.Rows);
            int depth = (inner - (tap * args.Depth)) * TNumber.PerWord;
            uint word = TNumber.Pack(args.At(group, row, tap, depth), args.At(group, row, tap, depth + 1));
            args.Y[i] = Interop.IntAsFloat(word);
        }
    }
}
