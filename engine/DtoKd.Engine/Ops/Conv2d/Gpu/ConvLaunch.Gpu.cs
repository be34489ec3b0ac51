using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>What is done to a convolution's sums.</summary>
internal readonly record struct ConvEpilogue(Tensor? Bias, FixedNorm? Norm, Tensor? Residual, bool Relu, bool Accumulate);

/// <summary>The images that a convolution reads: where they lie, or packed for the tensor cores, the channels of a pixel side by side.</summary>
internal readonly struct ConvSource : IDisposable
{
    private readonly Storage? _packed;

    private ConvSource(Tensor images, int groups, MatmulPrecision precision, Storage? packed)
    {
        Images = images;
        Groups = groups;
        Precision = precision;
        _packed = packed;
        var device = (GpuDevice)images.Device;
        Data = packed is null ? GpuDevice.View<float>(images) : device.View<float>(packed, 0, (long)images.Shape[0] * groups * Area * Depth);
    }

    public Tensor Images { get; }

    public int Groups { get; }

    public MatmulPrecision Precision { get; }

    public ArrayView<float> Data { get; }

    /// <summary>Pixels of a channel.</summary>
    public int Area => Images.Shape[2] * Images.Shape[3];

    /// <summary>Channels of a pixel in a group, or the words that hold them.</summary>
    public int Depth => WordsOf(Images.Shape[1] / Groups, Precision);

    public bool IsPacked => _packed is not null;

    /// <summary>Makes [N, C, H, W] ready.</summary>
    public static ConvSource Of(Tensor images, int groups, MatmulPrecision precision)
    {
        if (precision == MatmulPrecision.Highest)
            return new ConvSource(images, groups, precision, null);
        int channels = images.Shape[1] / groups, words = WordsOf(channels, precision), area = images.Shape[2] * images.Shape[3];
        int matrices = images.Shape[0] * groups, count = checked(matrices * area * words);
        var device = (GpuDevice)images.Device;
        var packed = device.Pool.Rent((long)count * sizeof(uint), "conv2d images");
        Shape batch = [matrices];
        var strides = default(Strides);
        strides[0] = channels * area;
        var args = new PackArgs
        {
            Source = new ProductOperand { X = GpuDevice.View<float>(images), Lines = area, Line = 1, Term = area },
            Y = device.View<uint>(packed, 0, count),
            Terms = channels,
            Words = words,
            Matrices = matrices,
            Batch = new Walk(new StridedLoop(batch, strides)),
        };
        if (precision == MatmulPrecision.High)
            PackLines<RoundedTf32>.Launch(device, args);
        else
            PackLines<Bf16>.Launch(device, args);
        return new ConvSource(images, groups, precision, packed);
    }

    /// <summary>Channels, or whole vectors of four words that hold them.</summary>
    public static int WordsOf(int channels, MatmulPrecision precision) => precision switch
    {
        MatmulPrecision.Highest => channels,
        MatmulPrecision.High => (channels + 3) / 4 * 4,
        _ => (channels + 7) / 8 * 4,
    };

    public void Dispose() => _packed?.Release();
}

/// <summary>One phase of a convolution or of its input's gradient.</summary>
/// <param name="source">The images that are read.</param>
/// <param name="down">The axis of the rows.</param>
/// <param name="across">The axis of the columns.</param>
/// <param name="order">What the weights' axes are.</param>
/// <param name="tile">Rows of a tile; by the shape when null.</param>
internal readonly struct ConvLaunch(ConvSource source, ConvPhase down, ConvPhase across, ConvOrder order, int? tile)
{
    // The groups of threads without which half of a large card idles.
    private const long EnoughGroups = 128;

    /// <summary>Brings the weights into the order in which the product reads them, and multiplies.</summary>
    public void Run(Tensor w, ConvEpilogue epilogue, Tensor y)
    {
        var device = (GpuDevice)y.Device;
        Shape from = source.Images.Shape, to = y.Shape;
        int pixels = checked(to[0] * down.Count * across.Count), area = to[2] * to[3];
        // Depths and rows to fours; on the cores for single precision taps and depths together to whole slices.
        int depth = (source.Depth + 3) / 4 * 4, pitch = (order.Rows + 3) / 4 * 4, lines = checked(depth * down.Taps * across.Taps);
        if (!source.IsPacked)
            lines = (lines + ConvWeights.Slice - 1) / ConvWeights.Slice * ConvWeights.Slice;
        var weights = new ConvWeightArgs
        {
            Weights = checked(source.Groups * lines * (source.IsPacked ? order.Rows : pitch)),
            Groups = source.Groups,
            Lines = Math.Max(1, lines),
            Pitch = pitch,
            Depth = Math.Max(1, depth),
            Order = order,
            Down = down,
            Across = across,
        };
        using var packed = source.Precision switch
        {
            MatmulPrecision.Highest => PackedWeights.By<ConvWeights>(device, w, epilogue.Norm, weights),
            MatmulPrecision.High => PackedWeights.By<ConvWordWeights<RoundedTf32>>(device, w, epilogue.Norm, weights),
            _ => PackedWeights.By<ConvWordWeights<Bf16>>(device, w, epilogue.Norm, weights),
        };
        bool isWhole = down.Step == 1 && across.Step == 1 && area % 4 == 0;
        var args = new ConvProductArgs
        {
            // Without a line nothing is read, but a view must be valid.
            Source = lines == 0 ? packed.Weights : source.Data,
            Weights = packed.Weights,
            Bias = epilogue.Bias is null ? packed.Shifts : GpuDevice.View<float>(epilogue.Bias),
            Residual = GpuDevice.View<float>(epilogue.Residual ?? y),
            Y = GpuDevice.View<float>(y),
            HasBias = epilogue.Bias is null && epilogue.Norm is null ? 0 : 1,
            HasResidual = epilogue.Residual is null ? 0 : 1,
            Relu = epilogue.Relu ? 1 : 0,
            Accumulate = epilogue.Accumulate ? 1 : 0,
            IsVectorY = isWhole && y.Offset % 4 == 0 && (epilogue.Residual?.Offset ?? 0) % 4 == 0 ? 1 : 0,
            Groups = source.Groups,
            Rows = order.Rows,
            Pitch = pitch,
            Depth = Math.Max(1, source.Depth),
            Lines = lines,
            Pixels = pixels,
            SourceHeight = from[2],
            SourceWidth = from[3],
            SlabStride = source.Area * source.Depth,
            PixelStride = source.IsPacked ? source.Depth : 1,
            ChannelStride = source.IsPacked ? 1 : source.Area,
            Width = to[3],
            Area = area,
            // Where the columns have no tap, the rows' taps read nothing either.
            Down = across.Taps == 0 ? down with { Taps = 0 } : down,
            Across = across,
        };
        switch (source.Precision)
        {
            case MatmulPrecision.Highest:
                Registers(device, args);
                break;
            case MatmulPrecision.High:
                Tensor<RoundedTf32>(device, args);
                break;
            default:
                Tensor<Bf16>(device, args);
                break;
        }
    }

    /// <summary>
    /// A large tile reads each number from shared memory for more products; it does not pay if much of it is empty or if there are so
    /// few that many processors idle.
    /// </summary>
    private void Registers(GpuDevice device, ConvProductArgs args)
    {
        int rows = 128;
        while (rows > 32 && (Covered(args.Rows, rows) - args.Rows > args.Rows / 4 || Tiles(args, rows, 128) < EnoughGroups))
            rows /= 2;
        switch (tile ?? (args.Rows <= 16 ? 16 : rows))
        {
            case 128:
                Launch<ConvProduct<Rows128>>(device, args, ConvTile<Rows128>.Rows, ConvTile<Rows128>.Columns);
                break;
            case 64:
                Launch<ConvProduct<Rows64>>(device, args, ConvTile<Rows64>.Rows, ConvTile<Rows64>.Columns);
                break;
            case 32:
                Launch<ConvProduct<Rows32>>(device, args, ConvTile<Rows32>.Rows, ConvTile<Rows32>.Columns);
                break;
            default:
                Launch<ConvProduct<Rows16>>(device, args, ConvTile<Rows16>.Rows, ConvTile<Rows16>.Columns);
                break;
        }
    }

    private void Tensor<TNumber>(GpuDevice device, ConvProductArgs args)
        where TNumber : struct, IPackedNumber
    {
        if (Fits<WideTile, TNumber>(device, args))
            Launch<WideTile, TNumber>(device, args);
        else if (Fits<SquareTile, TNumber>(device, args))
            Launch<SquareTile, TNumber>(device, args);
        else
            Launch<NarrowTile, TNumber>(device, args);
    }

    private bool Fits<TTile, TNumber>(GpuDevice device, ConvProductArgs args)
        where TTile : struct, ITensorTile
        where TNumber : struct, IPackedNumber
    {
        int rows = TensorTile<TTile, TNumber>.Rows, columns = TensorTile<TTile, TNumber>.Columns;
        return ConvTensorProduct<TTile, TNumber>.AllSharedBytes <= device.MostShared
            && (tile == columns || (tile is null && args.Rows > rows / 2 && Tiles(args, rows, columns) >= EnoughGroups));
    }

    private static void Launch<TTile, TNumber>(GpuDevice device, ConvProductArgs args)
        where TTile : struct, ITensorTile
        where TNumber : struct, IPackedNumber =>
        Launch<ConvTensorProduct<TTile, TNumber>>(device, args, TensorTile<TTile, TNumber>.Rows, TensorTile<TTile, TNumber>.Columns);

    private static void Launch<TKernel>(GpuDevice device, ConvProductArgs args, int rows, int columns)
        where TKernel : struct, IKernel<ConvProductArgs> =>
        device.Launcher.Launch<TKernel, ConvProductArgs>(Tiles(args, rows, columns), TKernel.MaxGroupSize, args);

    private static long Tiles(ConvProductArgs args, int rows, int columns) =>
        args.Groups * ProductPlan.Tiles(args.Rows, args.Pixels, rows, columns);

    private static int Covered(int rows, int tile) => (rows + tile - 1) / tile * tile;
}
