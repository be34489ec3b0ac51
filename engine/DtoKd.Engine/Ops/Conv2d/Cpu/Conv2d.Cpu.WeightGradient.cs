using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

// The gradient of the weights.
internal sealed unsafe partial class Conv2dCpu
{
    // Pixels of a piece of an image.
    private const int MinPiece = 256;

    // Output channels whose dy is summed together.
    private const int DotChannels = 32;

    // The gradient of a kernel this large is cut as one product; smaller ones are summed over images.
    private const long LargeWeight = 1 << 18;

    // Sums over so few pixels would often be put down: they go on from image to image.
    private const int ShortImage = 256;

    // Partial sums of a weight's gradient: enough for 16 threads, at most 64 MiB of them.
    private const int MaxPartials = 16;
    private const long PartialBudget = 1 << 24;

    private static void WeightGradient(Conv2dGeometry geometry, Tensor x, ChannelNorms? norms, Tensor dy, Tensor dw, bool accumulate)
    {
        geometry = geometry.Flattened();
        var device = (CpuDevice)dy.Device;
        switch (device.Vectors)
        {
            case LaneKind.Lane512:
                WeightGradient<Lane512, Avx512Kernel>(device, geometry, x, norms, dy, dw, accumulate);
                break;
            case LaneKind.Lane256:
                WeightGradient<Lane256, Avx2Kernel>(device, geometry, x, norms, dy, dw, accumulate);
                break;
            default:
                WeightGradient<LaneVector, PortableKernel>(device, geometry, x, norms, dy, dw, accumulate);
                break;
        }
    }

    private static void WeightGradient<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, Tensor x, ChannelNorms? norms, Tensor dy, Tensor dw, bool accumulate)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        float* px = x.Pointer<float>(), pdy = dy.Pointer<float>();
        bool pointwise = g is { KernelArea: 1, H: 1, OH: 1, Groups: 1 } && g.W == g.OW && g.N > 0;
        if (pointwise && (g.W < ShortImage || dw.Count >= LargeWeight))
        {
            PointwiseGradient(device, g, px, pdy, dw.Pointer<float>(), accumulate);
            return;
        }

        int maxRuns = (int)Math.Clamp(PartialBudget / Math.Max(1, dw.Count), 1, MaxPartials);
        using var partials = new ConvPartials(device, dw.Count);
        if (g.Stride == 1 && Winograd.Suits(g))
            WinogradGradient.Run<V, TKernel>(device, g, px, pdy, Math.Min(maxRuns, Math.Max(1, MaxPartials / g.Groups)), partials);
        else if (pointwise)
            PointwiseGradient(device, g, px, pdy, maxRuns, partials);
        else
            WeightGradient<V>(device, g, px, norms, pdy, maxRuns, partials);
        partials.AddTo(dw.Pointer<float>(), accumulate);
    }

    /// <summary>The gradient of a 1 x 1 kernel: one product of dy and x, whose pixels lie image by image.</summary>
    private static void PointwiseGradient(CpuDevice device, Conv2dGeometry g, float* x, float* dy, float* dw, bool accumulate)
    {
        var rows = new MatrixView(dy, g.W) { RunLength = g.W, RunStride = (long)g.O * g.W };
        var columns = new MatrixView(x, 1, g.W) { RunLength = g.W, RunStride = (long)g.C * g.W };
        Gemm.Run(device, g.O, g.C, checked(g.N * g.W), rows, columns, dw, g.C, new GemmEpilogue { Accumulate = accumulate });
    }

    /// <summary>As partial sums over images, or over pieces of images where there are few, where a product is too small to cut.</summary>
    private static void PointwiseGradient(
        CpuDevice device, Conv2dGeometry g, float* x, float* dy, int maxRuns, ConvPartials partials)
    {
        int pieces = Math.Clamp(maxRuns / g.N, 1, Math.Max(1, g.W / MinPiece)), length = (g.W + pieces - 1) / pieces;
        int units = g.N * pieces, perRun = (units + maxRuns - 1) / maxRuns, runs = (units + perRun - 1) / perRun;
        partials.Begin(runs);
        device.Team.For(runs, run =>
        {
            int first = run * perRun, last = Math.Min(units, first + perRun);
            for (int unit = first; unit < last; unit++)
            {
                long image = unit / pieces;
                int start = Math.Min(g.W, unit % pieces * length), pixels = Math.Min(length, g.W - start);
                Gemm.RunSerial(
                    device.Simd, g.O, g.C, pixels, new MatrixView(dy + (image * g.O * g.W) + start, g.W),
                    new MatrixView(x + (image * g.C * g.W) + start, g.W).Transposed, partials.Of(run), g.C,
                    new GemmEpilogue { Accumulate = unit > first });
            }
        });
    }

    private static void WeightGradient<V>(
        CpuDevice device, Conv2dGeometry g, float* x, ChannelNorms? norms, float* dy, int maxRuns, ConvPartials partials)
        where V : unmanaged, IFloatLane<V>
    {
        var layout = Layouts.Of(g, ConvProduct.WeightGradient, V.Width);
        int units = layout.Units;
        long groupCount = (long)g.GroupO * g.GroupC * g.KernelArea;
        int runs = Math.Min(maxRuns, Math.Max(1, units));
        int unitsPerRun = (units + runs - 1) / runs;
        // With few runs the channels are shared out as well; each part then lays out the images for itself.
        int parts = runs * g.Groups >= MaxPartials ? 1 : (g.GroupO + DotChannels - 1) / DotChannels;
        int partChannels = parts == 1 ? g.GroupO : DotChannels;
        partials.Begin(runs);
        device.Team.For(runs * g.Groups * parts, task =>
        {
            int product = task / parts, first = task % parts * partChannels;
            int group = product / runs, run = product % runs;
            int channels = Math.Min(partChannels, g.GroupO - first);
            long depth = layout.Offsets[0].Length;
            float* partial = partials.Of(run) + (group * groupCount) + (first * depth);
            new Span<float>(partial, checked((int)(channels * depth))).Clear();
            for (int unit = run * unitsPerRun; unit < Math.Min(units, (run + 1) * unitsPerRun); unit++)
                DotsOfUnit<V>(layout, unit, group, first, channels, x, norms, dy, partial);
        });
    }

    /// <summary>dw += the share of one unit, for some channels of a group; dw is that of the first of them.</summary>
    private static void DotsOfUnit<V>(
        ConvLayout layout, int unit, int group, int first, int channels, float* x, ChannelNorms? norms, float* dy, float* dw)
        where V : unmanaged, IFloatLane<V>
    {
        int vectors = layout.VectorsOf(unit), rowLength = layout.RowLength;
        float* planes = PackBuffers.A(layout.PlanesLength);
        float* rows = PackBuffers.B((long)channels * rowLength);
        layout.Fill<V>(x, unit, group, planes, norms);
        for (int o = 0; o < channels; o++)
            layout.Spread<V>(dy, unit, (group * layout.TargetChannels) + first + o, rows + ((long)o * rowLength));
        // A block of channels stays in the L2 while the planes stream past it.
        for (int o = 0; o < channels; o += DotChannels)
        {
            Dots<V>(
                layout, vectors, planes, Math.Min(DotChannels, channels - o), rows + ((long)o * rowLength),
                dw + ((long)o * layout.Offsets[0].Length));
        }
    }

    private static void Dots<V>(ConvLayout layout, int vectors, float* planes, int channels, float* rows, float* dw)
        where V : unmanaged, IFloatLane<V>
    {
        int depth = layout.Offsets[0].Length, rowLength = layout.RowLength;
        int tiled = channels / ConvTiles.Rows * ConvTiles.Rows;
        fixed (int* offsets = layout.Offsets[0], bases = layout.Bases)
        {
            for (int k = 0; k < depth && tiled > 0; k += ConvTiles.Columns)
            {
                for (int o = 0; o < tiled; o += ConvTiles.Rows)
                {
                    ConvTiles.Dots4<V>(
                        vectors, bases, planes, offsets + k, depth - k, rows + ((long)o * rowLength), rowLength,
                        dw + ((long)o * depth) + k, depth);
                }
            }

            for (int o = tiled; o < channels; o++)
            {
                for (int k = 0; k < depth; k += ConvTiles.Taps1)
                {
                    ConvTiles.Dots1<V>(
                        vectors, bases, planes, offsets + k, depth - k, rows + ((long)o * rowLength), dw + ((long)o * depth) + k);
                }
            }
        }
    }
}
