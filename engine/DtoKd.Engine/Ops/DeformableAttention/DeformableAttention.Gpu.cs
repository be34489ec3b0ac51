using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A launch for each level. Forward, a thread has an element of the result; backward, a warp has a query and a head and sums over
/// the channels. Samples that read the same pixel add to its gradient in any order: see <see cref="FixedSums"/>.
/// </summary>
internal sealed class DeformableAttentionGpu : IDeformableAttentionKernels
{
    public void Forward(DeformableLevels levels, Tensor value, Tensor locations, Tensor weights, Tensor y)
    {
        y.Clear();
        var args = Arguments(value, locations, weights, y);
        for (int level = 0; level < levels.Count; level++)
            GridStride.Launch<DeformableForward, DeformableArgs>((GpuDevice)y.Device, y.Count, OfLevel(args, levels, level));
    }

    public void Backward(
        DeformableLevels levels,
        Tensor dy,
        Tensor value,
        Tensor locations,
        Tensor weights,
        Tensor? dvalue,
        Tensor dlocations,
        Tensor dweights)
    {
        var device = (GpuDevice)dy.Device;
        var args = Arguments(value, locations, weights, dy);
        (args.DLocations, args.DWeights) = (GpuDevice.View<float>(dlocations), GpuDevice.View<float>(dweights));
        if (args.Rows == 0)
            return;
        // A sample reads a pixel once, and a pixel has one level.
        var sums = dvalue is null ? null : new FixedSums(device, dvalue.Count, (long)args.Queries * args.Points, dy, weights);
        if (sums is not null)
            (args.DValue, args.HasDValue) = (sums.Adder, 1);
        int warps = device.GroupSize / RowTeam.WarpSize;
        for (int level = 0; level < levels.Count; level++)
        {
            device.Launcher.Launch<DeformableBackward, DeformableArgs>(
                (args.Rows + warps - 1) / warps, device.GroupSize, OfLevel(args, levels, level));
        }

        sums?.AddTo(dvalue!);
    }

    private static DeformableArgs Arguments(Tensor value, Tensor locations, Tensor weights, Tensor y) => new()
    {
        Value = GpuDevice.View<float>(value),
        Locations = GpuDevice.View<float>(locations),
        Weights = GpuDevice.View<float>(weights),
        Y = GpuDevice.View<float>(y),
        Pixels = value.Shape[1],
        Heads = value.Shape[2],
        Channels = value.Shape[3],
        Queries = weights.Shape[1],
        Levels = weights.Shape[3],
        Points = weights.Shape[4],
        Rows = checked((int)weights.Shape.CountOf(0, 3)),
    };

    private static DeformableArgs OfLevel(DeformableArgs args, DeformableLevels levels, int level) => args with
    {
        Level = level,
        Start = checked((int)levels.Start(level)),
        Height = levels.Size(level).Height,
        Width = levels.Size(level).Width,
    };
}

/// <summary>The arguments of both kernels; the backward one has dy for y.</summary>
internal struct DeformableArgs
{
    public ArrayView<float> Value, Locations, Weights, Y, DLocations, DWeights;
    public FixedAdder DValue;
    public int Pixels, Heads, Channels, Queries, Levels, Points, Rows, HasDValue;

    /// <summary>The level, where its pixels start, and its size.</summary>
    public int Level, Start, Height, Width;

    /// <summary>The first sample of a row, a query and a head, in the level.</summary>
    public readonly int Sample(int row) => ((row * Levels) + Level) * Points;

    /// <summary>The pixels that a sample reads.</summary>
    public readonly SampleTaps Point(int sample)
    {
        var x = new SamplePlace { At = (Locations[2 * sample] * Width) - 0.5f, Slope = Width };
        var y = new SamplePlace { At = (Locations[(2 * sample) + 1] * Height) - 0.5f, Slope = Height };
        return SampleTaps.Bilinear(x, y, Height, Width);
    }

    /// <summary>Where the channels of a row's head start in the level's pixel 0.</summary>
    public readonly int First(int row)
    {
        int query = row / Heads, head = row - (query * Heads), image = query / Queries;
        return ((((image * Pixels) + Start) * Heads) + head) * Channels;
    }

    /// <summary>From one pixel to the next.</summary>
    public readonly int Stride => Heads * Channels;
}

internal readonly struct DeformableForward : IKernel<DeformableArgs>
{
    public static void Run(DeformableArgs args)
    {
        for (int i = GridStride.First; i < args.Rows * args.Channels; i += GridStride.Step)
        {
            int row = i / args.Channels, first = args.First(row) + i - (row * args.Channels), sample = args.Sample(row);
            float sum = args.Y[i];
            for (int p = 0; p < args.Points; p++)
            {
                var point = args.Point(sample + p);
                float read = Term(args, first, point.A) + Term(args, first, point.B) + Term(args, first, point.C) + Term(args, first, point.D);
                sum = Ptx.Fma(args.Weights[sample + p], read, sum);
            }

            args.Y[i] = sum;
        }
    }

    private static float Term(DeformableArgs args, int first, SampleTap tap) =>
        tap.Offset < 0 ? 0 : tap.Weight * args.Value[first + (tap.Offset * args.Stride)];
}

internal readonly struct DeformableBackward : IKernel<DeformableArgs>
{
    public static void Run(DeformableArgs args)
    {
        // A warp beyond the last row computes the last one again, and writes nothing.
        bool isRow = WarpOfRow.Row < args.Rows;
        int row = IntrinsicMath.Min(WarpOfRow.Row, args.Rows - 1), first = args.First(row), sample = args.Sample(row);
        float unit = args.HasDValue != 0 && isRow ? FixedAdder.PowerOfTwo(args.DValue.Exponent()) : 0;
        for (int p = 0; p < args.Points; p++, sample++)
        {
            var point = args.Point(sample);
            float weight = args.Weights[sample], a = 0, b = 0, c = 0, d = 0;
            for (int channel = WarpOfRow.Rank; channel < args.Channels; channel += WarpOfRow.Size)
            {
                float slope = args.Y[(row * args.Channels) + channel];
                a += Product(args, first + channel, point.A, slope, weight, unit);
                b += Product(args, first + channel, point.B, slope, weight, unit);
                c += Product(args, first + channel, point.C, slope, weight, unit);
                d += Product(args, first + channel, point.D, slope, weight, unit);
            }

            float read = (point.A.Weight * a) + (point.B.Weight * b) + (point.C.Weight * c) + (point.D.Weight * d);
            float across = (point.A.SlopeX * a) + (point.B.SlopeX * b) + (point.C.SlopeX * c) + (point.D.SlopeX * d);
            float down = (point.A.SlopeY * a) + (point.B.SlopeY * b) + (point.C.SlopeY * c) + (point.D.SlopeY * d);
            read = GroupFold.OfWarp<SumOf>(read);
            across = GroupFold.OfWarp<SumOf>(across);
            down = GroupFold.OfWarp<SumOf>(down);
            if (WarpOfRow.Rank != 0 || !isRow)
                continue;
            args.DWeights[sample] = read;
            args.DLocations[2 * sample] = weight * across;
            args.DLocations[(2 * sample) + 1] = weight * down;
        }
    }

    /// <summary>The product of a pixel's value and dy; the pixel gets dy by the weight it was read with.</summary>
    private static float Product(DeformableArgs args, int first, SampleTap tap, float slope, float weight, float unit)
    {
        if (tap.Offset < 0)
            return 0;
        int place = first + (tap.Offset * args.Stride);
        if (unit != 0)
            args.DValue.Add(place, slope * (weight * tap.Weight), unit);
        return slope * args.Value[place];
    }
}
