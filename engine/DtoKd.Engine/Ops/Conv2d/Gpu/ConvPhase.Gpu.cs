namespace DtoKd.Engine.Gpu;

/// <summary>
/// One axis of a convolution or of its input's gradient, which are then the same: target t, which is element First + t Step, is the
/// sum over the taps of weight FirstTap + a TapStep times source element Origin + t SourceStep + a SourceTap, zero outside.
/// </summary>
/// <remarks>
/// Forward, one phase has all targets. Backward, a stride s leaves each target with the taps of its remainder, so there are s
/// phases, and no zeros are multiplied.
/// </remarks>
internal struct ConvPhase
{
    public int Count, First, Step, Taps, FirstTap, TapStep, Origin, SourceStep, SourceTap;

    /// <summary>From x to y.</summary>
    public static ConvPhase Forward(int output, int kernel, int stride, int padding, int dilation) => new()
    {
        Count = output,
        Step = 1,
        Taps = kernel,
        TapStep = 1,
        Origin = -padding,
        SourceStep = stride,
        SourceTap = dilation,
    };

    /// <summary>
    /// From dy to every stride-th element of dx, beginning with <paramref name="first"/>: with h = first + t s it gets
    /// w[k] dy[(h + p - k d) / s] for the k where that is a whole number.
    /// </summary>
    public static ConvPhase Backward(int first, int input, int kernel, int stride, int padding, int dilation)
    {
        // The first such k, and how far it is to the next.
        int tap = 0, step = 1;
        while (step * dilation % stride != 0)
            step++;
        while (tap < kernel && (first + padding - (tap * dilation)) % stride != 0)
            tap++;
        return new()
        {
            Count = ((input - 1 - first) / stride) + 1,
            First = first,
            Step = stride,
            Taps = tap < kernel ? ((kernel - 1 - tap) / step) + 1 : 0,
            FirstTap = tap,
            TapStep = step,
            Origin = (first + padding - (tap * dilation)) / stride,
            SourceStep = 1,
            SourceTap = -(step * dilation / stride),
        };
    }
}
