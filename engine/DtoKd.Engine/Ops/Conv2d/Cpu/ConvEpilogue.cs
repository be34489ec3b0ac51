using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// What happens to a convolution's sums on their way to memory: y = Scale sum + Shift (+ Residual), its positive part with
/// <see cref="Relu"/>, (+ y). The default value stores the sums.
/// </summary>
internal unsafe struct ConvEpilogue
{
    /// <summary>One factor for each channel, or null for 1.</summary>
    public float* Scale;

    /// <summary>One summand for each channel, or null for 0.</summary>
    public float* Shift;

    /// <summary>A tensor that lies as y does, to be added; or null.</summary>
    public float* Residual;

    /// <summary>Whether negative results become 0.</summary>
    public bool Relu;

    /// <summary>Add to what y holds.</summary>
    public bool Accumulate;

    /// <summary>Stores rows of neighbouring sums.</summary>
    /// <param name="sums">The sums.</param>
    /// <param name="sumStride">From one row of sums to the next.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="count">How many sums of each.</param>
    /// <param name="channel">The channel of the first row, of all groups.</param>
    /// <param name="channelStep">From the channel of a row to the next one's: 1, or 0 for rows of one channel.</param>
    /// <param name="y">The whole result.</param>
    /// <param name="at">Where in it the first row belongs.</param>
    /// <param name="stride">From there to the place of the next row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Store<V>(
        float* sums, long sumStride, int rows, int count, int channel, int channelStep, float* y, long at, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        float floor = Relu ? 0 : float.NegativeInfinity;
        float* residual = Residual == null ? null : Residual + at;
        y += at;
        V f = V.Broadcast(floor);
        int whole = count / V.Width * V.Width, rest = count - whole;
        for (int row = 0; row < rows; row++, channel += channelStep)
        {
            V s = V.Broadcast(Scale == null ? 1 : Scale[channel]), b = V.Broadcast(Shift == null ? 0 : Shift[channel]);
            for (int i = 0; i < whole; i += V.Width)
            {
                var value = V.MultiplyAdd(V.Load(sums + i), s, b);
                value = V.Max(residual == null ? value : value + V.Load(residual + i), f);
                V.Store(Accumulate ? value + V.Load(y + i) : value, y + i);
            }

            if (rest > 0)
            {
                var value = V.MultiplyAdd(V.LoadPart(sums + whole, rest, 0), s, b);
                value = V.Max(residual == null ? value : value + V.LoadPart(residual + whole, rest, 0), f);
                V.StorePart(Accumulate ? value + V.LoadPart(y + whole, rest, 0) : value, y + whole, rest);
            }

            sums += sumStride;
            y += stride;
            if (residual != null)
                residual += stride;
        }
    }

    /// <summary>Asks for what <see cref="Store{V}"/> will read and write.</summary>
    /// <inheritdoc cref="Store{V}"/>
    public readonly void Prefetch(int rows, int count, float* y, long at, long stride)
    {
        const int Line = Pool.Alignment / sizeof(float);
        if (!Sse.IsSupported)
            return;
        for (int row = 0; row < rows; row++, at += stride)
        {
            for (int i = 0; i < count + Line - 1; i += Line)
            {
                Sse.Prefetch0(y + at + i);
                if (Residual != null)
                    Sse.Prefetch0(Residual + at + i);
            }
        }
    }
}

/// <summary>
/// A convolution's weights as one product reads them: [groups, targets, sources, kernel], whichever of the two kinds of
/// channels is the target, and with the kernel turned by 180 degrees for the input's gradient.
/// </summary>
internal readonly unsafe struct ConvWeight
{
    private ConvWeight(float* data, Conv2dGeometry g, bool adjoint)
    {
        Data = data;
        GroupStride = (long)g.GroupO * g.GroupC * g.KernelArea;
        long output = (long)g.GroupC * g.KernelArea, input = g.KernelArea;
        (TargetStride, SourceStride) = adjoint ? (input, output) : (output, input);
        TapStride = adjoint ? -1 : 1;
        FirstTap = adjoint ? g.KernelArea - 1 : 0;
    }

    public float* Data { get; }

    public long GroupStride { get; }

    public long TargetStride { get; }

    public long SourceStride { get; }

    /// <summary>1, or -1 where the kernel is turned: taps then count from <see cref="FirstTap"/> down.</summary>
    public int TapStride { get; }

    public int FirstTap { get; }

    /// <summary>From x to y.</summary>
    public static ConvWeight Forward(float* data, Conv2dGeometry geometry) => new(data, geometry, adjoint: false);

    /// <summary>From dy to dx, for <see cref="Conv2dGeometry.Adjoint"/>.</summary>
    public static ConvWeight Adjoint(float* data, Conv2dGeometry geometry) => new(data, geometry, adjoint: true);
}
