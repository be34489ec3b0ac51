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

    /// <summary>Stores neighbouring sums of some channels.</summary>
    /// <param name="sums">The sums.</param>
    /// <param name="sumStride">From one channel's sums to the next's.</param>
    /// <param name="channels">How many channels.</param>
    /// <param name="count">How many sums of each.</param>
    /// <param name="channel">The first channel, of all groups.</param>
    /// <param name="y">The whole result.</param>
    /// <param name="at">Where in it the first channel's sums belong.</param>
    /// <param name="stride">From there to the place of the next channel's.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Store<V>(float* sums, long sumStride, int channels, int count, int channel, float* y, long at, long stride)
        where V : unmanaged, IFloatLane<V>
    {
        float floor = Relu ? 0 : float.NegativeInfinity;
        float* residual = Residual == null ? null : Residual + at;
        y += at;
        V f = V.Broadcast(floor);
        int whole = count / V.Width * V.Width;
        // The rest of a row is its last vector, read before another one is stored there: sums may lie in y itself.
        int rest = whole < count && whole > 0 && !Accumulate ? count - V.Width : count;
        for (int row = 0; row < channels; row++, channel++)
        {
            float scale = Scale == null ? 1 : Scale[channel], shift = Shift == null ? 0 : Shift[channel];
            V s = V.Broadcast(scale), b = V.Broadcast(shift);
            var last = rest < count ? Apply(V.Load(sums + rest), s, b, residual == null ? default : residual + rest, f) : f;
            int i = 0;
            for (; i < whole; i += V.Width)
            {
                var value = Apply(V.Load(sums + i), s, b, residual == null ? default : residual + i, f);
                V.Store(Accumulate ? value + V.Load(y + i) : value, y + i);
            }

            if (rest < count)
            {
                V.Store(last, y + rest);
                i = count;
            }

            for (; i < count; i++)
            {
                float value = MathF.FusedMultiplyAdd(sums[i], scale, shift);
                if (residual != null)
                    value += residual[i];
                value = MathF.Max(value, floor);
                y[i] = Accumulate ? value + y[i] : value;
            }

            sums += sumStride;
            y += stride;
            if (residual != null)
                residual += stride;
        }
    }

    /// <summary>Asks for what <see cref="Store{V}"/> will read and write.</summary>
    /// <inheritdoc cref="Store{V}"/>
    public readonly void Prefetch(int channels, int count, float* y, long at, long stride)
    {
        const int Line = Pool.Alignment / sizeof(float);
        if (!Sse.IsSupported)
            return;
        for (int row = 0; row < channels; row++, at += stride)
        {
            for (int i = 0; i < count + Line - 1; i += Line)
            {
                Sse.Prefetch0(y + at + i);
                if (Residual != null)
                    Sse.Prefetch0(Residual + at + i);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Apply<V>(V sum, V scale, V shift, float* residual, V floor)
        where V : unmanaged, IFloatLane<V>
    {
        var value = V.MultiplyAdd(sum, scale, shift);
        return V.Max(residual == null ? value : value + V.Load(residual), floor);
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
