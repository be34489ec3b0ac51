namespace DtoKd.Engine.Cpu;

/// <summary>
/// The pixels that a 1 x 1 convolution with a stride reads, side by side: over them it is one of stride 1, in all its products. Its
/// input's gradient is spread over zeros.
/// </summary>
internal sealed unsafe class ConvSubsample : IDisposable
{
    // Pixels that a task copies.
    private const int Grain = 16384;

    private readonly CpuDevice _device;
    private readonly Conv2dGeometry _g;
    private readonly Storage _room;

    /// <summary>Makes room for the pixels.</summary>
    public ConvSubsample(CpuDevice device, Conv2dGeometry geometry)
    {
        _device = device;
        _g = geometry;
        Geometry = new Conv2dGeometry(geometry.N, geometry.C, geometry.OH, geometry.OW, geometry.O, 1, 1, 0, 1, geometry.Groups).Flattened();
        _room = device.Pool.Rent(Geometry.Input.Count * sizeof(float), "conv2d");
        Pixels = (float*)_room.Address;
    }

    /// <summary>The convolution over the pixels.</summary>
    public Conv2dGeometry Geometry { get; }

    /// <summary>The pixels [N, C, OH OW].</summary>
    public float* Pixels { get; }

    /// <summary>Whether a convolution reads single pixels and passes over others.</summary>
    public static bool Suits(Conv2dGeometry g) => g.KernelArea == 1 && g.Stride != 1 && g.Padding == 0;

    /// <summary>The pixels of x; null where the convolution is not of this kind.</summary>
    public static ConvSubsample? Of<V>(CpuDevice device, Conv2dGeometry geometry, float* x)
        where V : unmanaged, IFloatLane<V>
    {
        if (!Suits(geometry))
            return null;
        var pixels = new ConvSubsample(device, geometry);
        pixels.Gather<V>(x);
        return pixels;
    }

    public void Dispose() => _room.Release();

    private void Gather<V>(float* x)
        where V : unmanaged, IFloatLane<V> =>
        _device.Team.ForRange((long)_g.N * _g.C, PlanesPerTask(), (start, end) =>
        {
            int step = _g.Stride.Width, last = _g.OW - 1;
            for (long row = start * _g.OH; row < end * _g.OH; row++)
            {
                float* from = x + ((((row / _g.OH) * _g.H) + (row % _g.OH * _g.Stride.Height)) * _g.W), to = Pixels + (row * _g.OW);
                // What is skipped behind the last one may lie outside of x.
                ConvPixels.Copy<V>(from, step, to, last);
                to[last] = from[last * step];
            }
        });

    /// <summary>dx (+)= the pixels, where they belong.</summary>
    public void Spread(float* dx, bool accumulate) =>
        _device.Team.ForRange((long)_g.N * _g.C, PlanesPerTask(), (start, end) =>
        {
            for (long row = start * _g.H; row < end * _g.H; row++)
            {
                long plane = row / _g.H, i = row % _g.H;
                float* to = dx + (row * _g.W), from = Pixels + (((plane * _g.OH) + (i / _g.Stride.Height)) * _g.OW);
                if (i % _g.Stride.Height == 0)
                    ConvLayout.StoreSpread(from, to, _g.W, _g.Stride.Width, accumulate);
                else if (!accumulate)
                    new Span<float>(to, _g.W).Clear();
            }
        });

    private long PlanesPerTask() => Math.Max(1, Grain / Math.Max(1, (long)_g.OH * _g.OW));
}
