namespace DtoKd.Engine.Cpu;

/// <summary>The pixels that a 1 x 1 convolution with a stride reads, side by side, and back.</summary>
internal static unsafe class ConvSubsample
{
    // Pixels that a task copies.
    private const int Grain = 16384;

    /// <summary>pixels [N, C, OH, OW] = those of x [N, C, H, W] that are read.</summary>
    public static void Gather(Conv2dGeometry g, Tensor x, Tensor pixels)
    {
        switch (((CpuDevice)x.Device).Vectors)
        {
            case LaneKind.Lane512:
                Gather<Lane512>(g, x, pixels);
                break;
            case LaneKind.Lane256:
                Gather<Lane256>(g, x, pixels);
                break;
            default:
                Gather<LaneVector>(g, x, pixels);
                break;
        }
    }

    /// <summary>dx (+)= the pixels, where they belong, and zeros between them.</summary>
    public static void Spread(Conv2dGeometry g, Tensor pixels, Tensor dx, bool accumulate)
    {
        float* source = pixels.Pointer<float>(), target = dx.Pointer<float>();
        ((CpuDevice)dx.Device).Team.ForRange((long)g.N * g.C, PlanesPerTask(g), (start, end) =>
        {
            for (long row = start * g.H; row < end * g.H; row++)
            {
                long plane = row / g.H, i = row % g.H;
                float* to = target + (row * g.W), from = source + (((plane * g.OH) + (i / g.Stride.Height)) * g.OW);
                if (i % g.Stride.Height == 0)
                    ConvLayout.StoreSpread(from, to, g.W, g.Stride.Width, accumulate);
                else if (!accumulate)
                    new Span<float>(to, g.W).Clear();
            }
        });
    }

    private static void Gather<V>(Conv2dGeometry g, Tensor x, Tensor pixels)
        where V : unmanaged, IFloatLane<V>
    {
        float* source = x.Pointer<float>(), target = pixels.Pointer<float>();
        ((CpuDevice)x.Device).Team.ForRange((long)g.N * g.C, PlanesPerTask(g), (start, end) =>
        {
            int step = g.Stride.Width, last = g.OW - 1;
            for (long row = start * g.OH; row < end * g.OH; row++)
            {
                float* from = source + ((((row / g.OH) * g.H) + (row % g.OH * g.Stride.Height)) * g.W), to = target + (row * g.OW);
                // What is skipped behind the last one may lie outside of x.
                ConvPixels.Copy<V>(from, step, to, last);
                to[last] = from[last * step];
            }
        });
    }

    private static long PlanesPerTask(Conv2dGeometry g) => Math.Max(1, Grain / Math.Max(1, (long)g.OH * g.OW));
}
