namespace DtoKd.Engine.Cpu;

/// <summary>
/// One axis of a convolution, brought to stride 1: element t of a target is the sum over its taps of weight[tap.Index] times
/// element t + tap.Offset of plane tap.Plane, where element u of plane f is source[u * SourceStep + Origins[f]], zero outside.
/// </summary>
/// <remarks>
/// Forward, a stride s cuts the source into s interleaved planes, one per remainder, and there is one target. For the input's
/// gradient there is one plane, and the destination is cut into s targets: each receives from the taps of its remainder only,
/// so that no zeros are multiplied.
/// </remarks>
internal sealed class ConvAxis
{
    private ConvAxis(int sourceStep, int[] origins, ConvTarget[] targets)
    {
        SourceStep = sourceStep;
        Origins = origins;
        Targets = targets;
        foreach (var target in targets)
        {
            Grid = Math.Max(Grid, target.Count);
            foreach (var tap in target.Taps)
                Reach = Math.Max(Reach, tap.Offset);
        }
    }

    public int SourceStep { get; }

    public int[] Origins { get; }

    public ConvTarget[] Targets { get; }

    /// <summary>The elements of the longest target.</summary>
    public int Grid { get; }

    /// <summary>The largest offset of a tap: a plane is as much longer than the grid.</summary>
    public int Reach { get; }

    /// <summary>The axis of y = conv(x, w): from x to y.</summary>
    public static ConvAxis Forward(int output, int kernel, int stride, int padding, int dilation)
    {
        var origins = new List<int>();
        var taps = new ConvTap[kernel];
        for (int k = 0; k < kernel; k++)
        {
            int origin = (k * dilation % stride) - padding;
            if (!origins.Contains(origin))
                origins.Add(origin);
            taps[k] = new ConvTap(k, origins.IndexOf(origin), k * dilation / stride);
        }

        return new ConvAxis(stride, [.. origins], [new ConvTarget(0, 1, output, taps)]);
    }

    /// <summary>The axis of the input's gradient: from dy to dx.</summary>
    /// <remarks>
    /// With r the remainder, dx[t s + r - p] is the sum of w[k] dy[t - (k d - r) / s] over the k with k d = r (mod s); t begins
    /// where that index of dx is 0 or more.
    /// </remarks>
    public static ConvAxis Backward(int input, int kernel, int stride, int padding, int dilation)
    {
        int origin = 0;
        for (int k = 0; k < kernel; k++)
            origin = Math.Min(origin, First(k * dilation % stride) - (k * dilation / stride));
        var targets = new ConvTarget[stride];
        for (int r = 0; r < stride; r++)
        {
            int first = First(r), start = (first * stride) + r - padding;
            var taps = new List<ConvTap>();
            for (int k = 0; k < kernel; k++)
            {
                if (k * dilation % stride == r)
                    taps.Add(new ConvTap(k, 0, first - (k * dilation / stride) - origin));
            }

            targets[r] = new ConvTarget(start, stride, start < input ? ((input - 1 - start) / stride) + 1 : 0, [.. taps]);
        }

        return new ConvAxis(1, [origin], targets);

        int First(int r) => padding > r ? (padding - r + stride - 1) / stride : 0;
    }
}

/// <summary>The elements Start, Start + Step, ... of the destination, and what they are made of.</summary>
internal sealed record ConvTarget(int Start, int Step, int Count, ConvTap[] Taps);

/// <summary>One element of a kernel along one axis: its index, the plane it reads and how far on it reads there.</summary>
internal readonly record struct ConvTap(int Index, int Plane, int Offset);
