using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// All three products run over zero-padded planes in each thread's scratch (<see cref="ConvLayout"/>), without unfolding into
/// columns: on the small images that nets for small pictures have, unfolding and packing cost as much as the product itself.
/// </summary>
/// <remarks>
/// Work is cut into units of images (or bands of rows) and groups. The weight's gradient sums fixed runs of units, which are
/// added in order, in double.
/// </remarks>
internal sealed unsafe partial class Conv2dCpu : IConv2dKernels, IConv2dNormKernels
{
    // Products summed in float before the result is added to what was there: their weights and planes fit the L1.
    private const int DepthBlock = 256;

    // Lines of the results that are asked for with each tile of 12: collecting them would otherwise wait for memory.
    private const int LinesPerTile = 16;

    // Weights that one task packs.
    private const long PackGrain = 4096;

    // Results that a task passes through an epilogue.
    private const int PlaneGrain = 16384;

    // About 20 microseconds of one thread.
    private const double FlopsPerTask = 2e6;

    private static readonly ConvLayouts Layouts = new();

    public void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        var epilogue = new ConvEpilogue { Shift = bias is null ? null : bias.Pointer<float>(), Accumulate = accumulate };
        Forward(geometry, x, null, null, w, epilogue, y, null);
    }

    public bool TakesGate(Conv2dGeometry geometry) => geometry.Flattened() is { KernelArea: 1, OH: 1 } flat && flat.W == flat.OW && ConvPanels.Suits(flat);

    public void Forward(
        Conv2dGeometry geometry, Tensor x, Tensor? gate, Tensor w, FixedNorm norm, Tensor? residual, bool relu, Tensor y)
    {
        var affine = ((CpuDevice)x.Device).Pool.Rent(2L * geometry.O * sizeof(float), "conv2d_norm");
        try
        {
            float* scale = (float*)affine.Address, shift = scale + geometry.O;
            float* weight = norm.Weight.Pointer<float>(), bias = norm.Bias.Pointer<float>();
            float* mean = norm.Mean.Pointer<float>(), variance = norm.Variance.Pointer<float>();
            for (int o = 0; o < geometry.O; o++)
            {
                double factor = weight[o] / Math.Sqrt(variance[o] + norm.Epsilon);
                (scale[o], shift[o]) = ((float)factor, (float)(bias[o] - (factor * mean[o])));
            }

            var epilogue = new ConvEpilogue
            {
                Scale = scale,
                Shift = shift,
                Residual = residual is null ? null : residual.Pointer<float>(),
                Relu = relu,
            };
            Forward(geometry, x, gate, null, w, epilogue, y, null);
        }
        finally
        {
            affine.Release();
        }
    }

    /// <summary>Whether a convolution and the gradient of its weight can normalise x as they read it: where they copy it into planes.</summary>
    public static bool TakesNorm(Conv2dGeometry geometry) =>
        geometry.KernelArea > 1 && !Winograd.Suits(geometry) && !ConvPanels.Suits(geometry);

    /// <summary>Whether a convolution can take the moments of its results.</summary>
    public static bool TakesMoments(Conv2dGeometry geometry) => geometry.Output.Count > 0 && !Winograd.Suits(geometry);

    /// <summary>y = conv(x, w), or conv(norm(x), w), and the moments of y if they are wanted; all tensors are contiguous.</summary>
    public static void Forward(Conv2dGeometry geometry, Tensor x, BatchNormInputs? norm, Tensor w, Tensor y, BatchMoments? moments)
    {
        using var taken = moments is null ? null : new ConvMoments((CpuDevice)x.Device, moments.Mean, moments.Variance);
        using var norms = norm is null ? null : new ChannelNorms(norm);
        Forward(geometry, x, null, norms, w, default, y, taken);
        taken?.Finish();
    }

    public void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate)
    {
        geometry = geometry.Flattened();
        float* pdy = dy.Pointer<float>(), pw = w.Pointer<float>(), pdx = dx.Pointer<float>();
        var device = (CpuDevice)dy.Device;
        switch (device.Vectors)
        {
            case LaneKind.Lane512:
                InputGradient<Lane512, Avx512Kernel>(device, geometry, pdy, pw, pdx, accumulate);
                break;
            case LaneKind.Lane256:
                InputGradient<Lane256, Avx2Kernel>(device, geometry, pdy, pw, pdx, accumulate);
                break;
            default:
                InputGradient<LaneVector, PortableKernel>(device, geometry, pdy, pw, pdx, accumulate);
                break;
        }
    }

    public void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate) =>
        WeightGradient(geometry, x, null, dy, dw, accumulate);

    /// <summary>dw: each product of the sum that makes y = conv(norm(x), w), sent back to its weight.</summary>
    public static void WeightGradient(Conv2dGeometry geometry, BatchNormInputs norm, Tensor dy, Tensor dw, bool accumulate)
    {
        using var norms = new ChannelNorms(norm);
        WeightGradient(geometry, norm.X, norms, dy, dw, accumulate);
    }

    private static void Forward(
        Conv2dGeometry geometry, Tensor x, Tensor? gate, ChannelNorms? norms, Tensor w, in ConvEpilogue epilogue, Tensor y,
        ConvMoments? moments)
    {
        geometry = geometry.Flattened();
        var device = (CpuDevice)x.Device;
        switch (device.Vectors)
        {
            case LaneKind.Lane512:
                Forward<Lane512, Avx512Kernel>(device, geometry, x, gate, norms, w, epilogue, y, moments);
                break;
            case LaneKind.Lane256:
                Forward<Lane256, Avx2Kernel>(device, geometry, x, gate, norms, w, epilogue, y, moments);
                break;
            default:
                Forward<LaneVector, PortableKernel>(device, geometry, x, gate, norms, w, epilogue, y, moments);
                break;
        }
    }

    private static void Forward<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, Tensor x, Tensor? gate, ChannelNorms? norms, Tensor w, in ConvEpilogue epilogue, Tensor y,
        ConvMoments? moments)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        float* px = x.Pointer<float>(), pw = w.Pointer<float>(), py = y.Pointer<float>();
        float* factors = gate is null ? null : gate.Pointer<float>();
        if (SparseConv.Suits<V>(g, px))
        {
            SparseConv.Run<V>(device, g, px, factors, ConvWeight.Forward(pw, g), epilogue, py, moments);
            return;
        }

        if (gate is not null)
        {
            ConvPanels.Run<V, TKernel>(device, g, px, factors, ConvWeight.Forward(pw, g), epilogue, py);
            return;
        }

        if (TryPanels<V, TKernel>(device, g, px, ConvWeight.Forward(pw, g), epilogue, py, moments))
            return;
        bool plain = epilogue is { Residual: null, Scale: null, Relu: false };
        Products<V>(
            device, Layouts.Of(g, ConvProduct.Forward, V.Width), px, pw, plain ? epilogue.Shift : null, py, epilogue.Accumulate, norms,
            moments, byGroups: false);
        if (!plain)
            Finish<V>(device.Team, (long)g.N * g.O, g.O, checked(g.OH * g.OW), epilogue, py);
    }

    /// <summary>Passes the planes of y, which hold the sums, through the epilogue.</summary>
    private static void Finish<V>(ThreadTeam team, long planes, int channels, int area, ConvEpilogue epilogue, float* y)
        where V : unmanaged, IFloatLane<V> =>
        team.ForRange(planes, Math.Max(1, PlaneGrain / area), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
                epilogue.Store<V>(y + (plane * area), 0, 1, area, (int)(plane % channels), 0, y, plane * area, 0);
        });

    private static void InputGradient<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, float* dy, float* w, float* dx, bool accumulate)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        if (g.Stride == 1 && g.Adjoint() is { Padding: { Height: >= 0, Width: >= 0 } } adjoint
            && TryPanels<V, TKernel>(
                device, adjoint, dy, ConvWeight.Adjoint(w, g), new ConvEpilogue { Accumulate = accumulate }, dx))
        {
            return;
        }

        Products<V>(device, Layouts.Of(g, ConvProduct.InputGradient, V.Width), dy, w, null, dx, accumulate, null, null, byGroups: true);
    }

    /// <summary>Groups of many channels fill the tiles of the matrix product.</summary>
    private static bool TryPanels<V, TKernel>(
        CpuDevice device, Conv2dGeometry g, float* x, ConvWeight w, in ConvEpilogue epilogue, float* y, ConvMoments? moments = null)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        if (Winograd.Suits(g))
            Winograd.Run<V, TKernel>(device, g, x, w, epilogue, y);
        else if (ConvPanels.Suits(g))
            ConvPanels.Run<V, TKernel>(device, g, x, null, w, epilogue, y, moments);
        else
            return false;
        return true;
    }

    /// <summary>target (+)= bias + the sum over source channels and taps of weight times source, or times its values behind a norm.</summary>
    /// <remarks>
    /// The forward pass goes through the images, as the operations before and behind it do; the gradients go through the groups first:
    /// they stand between gradients of batch norms, whose threads have channels of all images.
    /// </remarks>
    private static void Products<V>(
        CpuDevice device, ConvLayout layout, float* source, float* weight, float* bias, float* target, bool accumulate,
        ChannelNorms? norms, ConvMoments? moments, bool byGroups)
        where V : unmanaged, IFloatLane<V>
    {
        int vectors = layout.Bases.Length;
        if (vectors == 0 || layout.TargetChannels == 0)
            return;
        moments?.Begin(layout.Groups * layout.TargetChannels, layout.Units);
        long groupWeights = layout.GroupWeights;
        var packed = device.Pool.Rent(groupWeights * layout.Groups * sizeof(float), "conv2d");
        try
        {
            float* packedWeight = (float*)packed.Address;
            Pack(device.Team, layout, weight, packedWeight);
            double flops = 2.0 * Math.Max(layout.TargetChannels, groupWeights) * vectors * V.Width;
            device.Team.ForRange((long)layout.Units * layout.Groups, (long)Math.Max(1, FlopsPerTask / flops), (start, end) =>
            {
                for (long k = start; k < end; k++)
                {
                    int group = (int)(byGroups ? k / layout.Units : k % layout.Groups);
                    int unit = (int)(byGroups ? k % layout.Units : k / layout.Groups);
                    ProductsOfUnit<V>(
                        layout, unit, group, source, packedWeight + (group * groupWeights), bias, target,
                        accumulate, norms, moments);
                }
            });
        }
        finally
        {
            packed.Release();
        }
    }

    /// <summary>
    /// Orders the weights as the tiles read them: for each group and pair of targets, first the channels four by four,
    /// [depth, 4], then the rest one by one, [depth].
    /// </summary>
    private static void Pack(ThreadTeam team, ConvLayout layout, float* weight, float* packed)
    {
        int channels = layout.TargetChannels, tiles = channels / ConvTiles.Rows, pieces = tiles + (channels % ConvTiles.Rows);
        long groupStride = layout.GroupWeights;
        float* to = packed;
        for (int pair = 0; pair < layout.Offsets.Length; pair++)
        {
            int[] places = layout.Weights[pair];
            int depth = places.Length;
            float* pairTo = to;
            team.ForRange((long)layout.Groups * pieces, Math.Max(1, PackGrain / Math.Max(1, depth)), (start, end) =>
            {
                for (long piece = start; piece < end; piece++)
                {
                    long group = piece / pieces, tile = piece % pieces;
                    long first = tile < tiles ? tile * ConvTiles.Rows : tiles * ConvTiles.Rows + (tile - tiles);
                    float* from = weight + (group * groupStride) + (first * layout.WeightStride);
                    float* target = pairTo + (group * groupStride) + (first * depth);
                    PackTile(from, layout.WeightStride, places, tile < tiles ? ConvTiles.Rows : 1, target);
                }
            });
            to += (long)channels * depth;
        }
    }

    private static void PackTile(float* from, int targetStride, int[] places, int rows, float* to)
    {
        foreach (int place in places)
        {
            for (int r = 0; r < rows; r++)
                *to++ = from[((long)r * targetStride) + place];
        }
    }

    private static void ProductsOfUnit<V>(
        ConvLayout layout, int unit, int group, float* source, float* weight, float* bias, float* target, bool accumulate,
        ChannelNorms? norms, ConvMoments? moments)
        where V : unmanaged, IFloatLane<V>
    {
        int channels = layout.TargetChannels;
        float* planes = PackBuffers.A(layout.PlanesLength);
        layout.Fill<V>(source, unit, group, planes, norms);
        var results = layout.Results(target, unit, group);
        if (bias != null)
            bias += group * channels;
        if (layout.StoresInPlace)
        {
            ProductsOfPair<V>(
                layout, unit, 0, planes, weight, bias, accumulate, target + layout.Start(unit, group), layout.TargetArea, ref results);
            layout.Take<V>(moments, target, unit, group);
            return;
        }

        long length = (long)channels * layout.RowLength;
        float* rows = PackBuffers.B(length * layout.PairsAtOnce);
        for (int pair = 0; pair < layout.Offsets.Length; pair += layout.PairsAtOnce)
        {
            for (int k = 0; k < layout.PairsAtOnce; k++)
            {
                ProductsOfPair<V>(
                    layout, unit, pair + k, planes, weight, bias, false, rows + (k * length), layout.RowLength, ref results);
                weight += (long)channels * layout.Offsets[pair + k].Length;
            }

            for (int o = 0; o < channels; o++)
            {
                float* row = rows + ((long)o * layout.RowLength);
                layout.Collect<V>(row, row + length, unit, pair, (group * channels) + o, target, accumulate);
            }
        }

        layout.Take<V>(moments, target, unit, group);
    }

    private static void ProductsOfPair<V>(
        ConvLayout layout, int unit, int pair, float* planes, float* weight, float* bias, bool add, float* y, long yStride,
        ref PrefetchedBlock results)
        where V : unmanaged, IFloatLane<V>
    {
        int depth = layout.Offsets[pair].Length, vectors = layout.VectorsOf(unit), channels = layout.TargetChannels;
        int tiled = channels / ConvTiles.Rows * ConvTiles.Rows;
        fixed (int* offsets = layout.Offsets[pair], bases = layout.Bases, places = layout.Places)
        {
            int k = 0;
            do
            {
                int block = Math.Min(DepthBlock, depth - k);
                for (int v = 0; v < vectors && tiled > 0; v += ConvTiles.Columns)
                {
                    for (int o = 0; o < tiled; o += ConvTiles.Rows)
                    {
                        ConvTiles.Products4<V>(
                            block, weight + ((long)o * depth) + (k * ConvTiles.Rows), offsets + k, planes, bases + v, vectors - v,
                            bias == null ? null : bias + o, add, y + (o * yStride), places + v, yStride);
                        results.Some(LinesPerTile);
                    }
                }

                for (int o = tiled; o < channels; o++)
                {
                    for (int v = 0; v < vectors; v += ConvTiles.Vectors1)
                    {
                        ConvTiles.Products1<V>(
                            block, weight + ((long)o * depth) + k, offsets + k, planes, bases + v, vectors - v,
                            bias == null ? null : bias + o, add, y + (o * yStride), places + v);
                    }
                }

                k += DepthBlock;
                bias = null;
                add = true;
            }
            while (k < depth);
        }
    }
}
