using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static DtoKd.Engine.Cpu.Split;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// How the images of one pass lie in a thread's scratch: zero-padded planes, small enough for the cache, in which every tap
/// of the kernel reads the grid's vectors at one constant offset. So nothing is unfolded into columns.
/// </summary>
/// <remarks>
/// A unit is a batch of small images or a band of rows of a large one, in one group. The vectors of its grid either follow
/// each other over the whole plane, running over the padding between two rows, or start anew with each row: whichever takes
/// fewer. Results are stored vector by vector; <see cref="Collect"/> picks what belongs to the grid.
/// </remarks>
internal sealed unsafe partial class ConvLayout
{
    // 128 KiB of planes leave room for weights and results in the smallest usual L2 of 256 KiB.
    private const int PlaneBudget = 32768;

    // Small images with many channels are batched beyond that: reading all weights for few pixels would be slower.
    private const int BatchBudget = 8 * PlaneBudget;

    // Lower bands would copy the rows above and below them too often.
    private const int MinBandRows = 4;

    // Images are batched up to about as many vectors: a multiple of both tile widths; for the weight's gradient longer rows, as
    // each ends with a sum across a vector.
    private const int ProductVectors = 24;
    private const int DotVectors = 96;

    // Elements from what is copied to what is asked for: short rows, of which a stride skips every second one, are not foreseen by the
    // processor.
    private const int FetchedAhead = 1024;

    private readonly ConvAxis _h;
    private readonly ConvAxis _w;
    private readonly int _images;
    private readonly int _sourceH;
    private readonly int _sourceW;
    private readonly int _targetH;
    private readonly int _targetW;
    private readonly int _width;
    private readonly int _rowVectors;
    private readonly int _planeSize;
    private readonly bool _byRows;

    /// <param name="g">The convolution.</param>
    /// <param name="product">Which of its products is made.</param>
    /// <param name="width">Floats in a vector.</param>
    public ConvLayout(Conv2dGeometry g, ConvProduct product, int width)
    {
        bool isBackward = product == ConvProduct.InputGradient;
        ConvAxis h = _h = isBackward ? ConvAxis.Backward(g.H, g.Kernel.Height, g.Stride.Height, g.Padding.Height, g.Dilation.Height)
            : ConvAxis.Forward(g.OH, g.Kernel.Height, g.Stride.Height, g.Padding.Height, g.Dilation.Height);
        ConvAxis w = _w = isBackward ? ConvAxis.Backward(g.W, g.Kernel.Width, g.Stride.Width, g.Padding.Width, g.Dilation.Width)
            : ConvAxis.Forward(g.OW, g.Kernel.Width, g.Stride.Width, g.Padding.Width, g.Dilation.Width);
        int input = g.KernelArea, output = g.GroupC * g.KernelArea;
        (SourceChannels, TargetChannels) = isBackward ? (g.GroupO, g.GroupC) : (g.GroupC, g.GroupO);
        (_sourceH, _sourceW, _targetH, _targetW) = isBackward ? (g.OH, g.OW, g.H, g.W) : (g.H, g.W, g.OH, g.OW);
        (WeightStride, int sourceStride) = isBackward ? (input, output) : (output, input);
        GroupWeights = (long)g.GroupO * output;
        _images = g.N;
        _width = width;
        Groups = g.Groups;
        PairsAtOnce = w.Targets.Length == 2 && w.Targets[0].Step == 2 ? 2 : 1;
        Pitch = w.Grid + w.Reach;
        Planes = h.Origins.Length * w.Origins.Length;

        long floatsPerRow = Math.Max(1, (long)SourceChannels * Planes * Pitch);
        int bandRows = (int)Math.Clamp((PlaneBudget / floatsPerRow) - h.Reach, MinBandRows, Math.Max(MinBandRows, h.Grid));
        Bands = Math.Max(1, Math.Min(Pieces(h.Grid, bandRows), h.Grid / MinBandRows));
        BandRows = Pieces(h.Grid, Bands);
        _planeSize = (BandRows + h.Reach) * Pitch;
        _rowVectors = Pieces(w.Grid, width);
        _byRows = BandRows * _rowVectors <= Pieces((Math.Max(0, BandRows - 1) * Pitch) + w.Grid, width);
        RowPitch = _byRows ? _rowVectors * width : Pitch;
        ImageVectors = Vectors(BandRows);
        Batch = 1;
        if (Bands == 1 && ImageVectors > 0)
        {
            long fitting = BatchBudget / (floatsPerRow * (BandRows + h.Reach));
            int wantedVectors = product == ConvProduct.WeightGradient ? DotVectors : ProductVectors;
            Batch = (int)Math.Clamp(Math.Min(Pieces(wantedVectors, ImageVectors), fitting), 1, Math.Max(1, _images));
        }

        // An odd number of cache lines, so that the channels of one pixel do not share a set of the L1; a vector may run over
        // the last plane by less than its width.
        PlaneStride = (Pieces((Batch * _planeSize) + width, 16) | 1) * 16;
        Offsets = new int[h.Targets.Length * w.Targets.Length][];
        Weights = new int[Offsets.Length][];
        for (int i = 0; i < Offsets.Length; i++)
            (Offsets[i], Weights[i]) = ProductsOf(i, sourceStride, g.Kernel.Width);

        // Whole vectors that are neighbours in the destination too are stored there at once.
        long batchArea = (long)Batch * Groups * TargetChannels * _targetH * _targetW;
        StoresInPlace = _byRows && w.Grid % width == 0 && Offsets.Length == 1 && h.Targets[0].Step == 1 && w.Targets[0].Step == 1
            && batchArea <= int.MaxValue;
        Bases = new int[Batch * ImageVectors];
        Places = new int[Bases.Length];
        for (int v = 0; v < Bases.Length; v++)
        {
            int image = v / ImageVectors, k = v % ImageVectors;
            Bases[v] = (image * _planeSize) + (_byRows ? (k / _rowVectors * Pitch) + (k % _rowVectors * width) : k * width);
            Places[v] = StoresInPlace ? (int)(batchArea / Batch * image) + (k * width) : v * width;
        }
    }

    public int Groups { get; }

    public int SourceChannels { get; }

    public int TargetChannels { get; }

    /// <summary>
    /// For each pair of targets, where in the scratch the plane of each of its products begins, moved by its tap: source
    /// channels times taps of them.
    /// </summary>
    public int[][] Offsets { get; }

    /// <summary>For each pair of targets, where the weight of each of its products lies behind the first one of its target channel.</summary>
    public int[][] Weights { get; }

    /// <summary>Weights of one group.</summary>
    public long GroupWeights { get; }

    /// <summary>From the first weight of a target channel to that of the next, of one group.</summary>
    public int WeightStride { get; }

    /// <summary>Where each vector of a unit begins within any plane.</summary>
    public int[] Bases { get; }

    /// <summary>Where each vector of a unit is stored, in the destination or in the scratch.</summary>
    public int[] Places { get; }

    /// <summary>Whether results go to the destination without <see cref="Collect"/>.</summary>
    public bool StoresInPlace { get; }

    /// <summary>Neighbouring pairs of targets that are collected together: 2 where a stride of 2 makes their columns alternate.</summary>
    public int PairsAtOnce { get; }

    /// <summary>Images of a unit.</summary>
    public int Batch { get; }

    /// <summary>Units that make up all images, for one group.</summary>
    public int Units => Pieces(_images, Batch) * Bands;

    /// <summary>Floats of scratch for the planes of a unit.</summary>
    public long PlanesLength => (long)SourceChannels * Planes * PlaneStride;

    /// <summary>Floats of scratch for one channel of a unit's results.</summary>
    public int RowLength => Bases.Length * _width;

    private int Bands { get; }

    private int BandRows { get; }

    private int Planes { get; }

    private int Pitch { get; }

    private int PlaneStride { get; }

    private int RowPitch { get; }

    private int ImageVectors { get; }

    /// <summary>Where the first result of a unit and group lies in the destination.</summary>
    public long Start(int unit, int group)
    {
        var (image, _, row, _) = Range(unit);
        return (((((long)image * Groups) + group) * TargetChannels * _targetH) + row) * _targetW;
    }

    /// <summary>Floats from one channel of the destination to the next.</summary>
    public long TargetArea => (long)_targetH * _targetW;

    /// <summary>The vectors of a unit: fewer than <see cref="Bases"/> in the last batch or band.</summary>
    public int VectorsOf(int unit)
    {
        var (_, images, _, rows) = Range(unit);
        return images == 1 ? Vectors(rows) : images * ImageVectors;
    }

    /// <summary>What <see cref="Collect"/> writes for one unit and group.</summary>
    public PrefetchedBlock Results(float* destination, int unit, int group)
    {
        var (image, images, firstRow, rows) = Range(unit);
        float* start = destination + ((((long)image * Groups) + group) * TargetChannels * TargetArea);
        if (Bands == 1)
            return new PrefetchedBlock(start, Groups * TargetChannels * TargetArea, images, TargetChannels * TargetArea);
        long row = (long)_h.Targets[0].Step * _targetW, first = firstRow * row;
        return new PrefetchedBlock(start + first, TargetArea, TargetChannels, Math.Min(rows * row, TargetArea - first));
    }

    /// <summary>Copies the source planes of one unit and group into the scratch, zeros around them.</summary>
    /// <param name="source">The whole source [images, groups * channels, h, w].</param>
    /// <param name="unit">The unit.</param>
    /// <param name="group">The group.</param>
    /// <param name="planes">The scratch.</param>
    /// <param name="norms">What is done to the values on their way, or null; zeros around them stay.</param>
    public void Fill<V>(float* source, int unit, int group, float* planes, ChannelNorms? norms)
        where V : unmanaged, IFloatLane<V>
    {
        var (firstImage, images, firstRow, rows) = Range(unit);
        int channels = Groups * SourceChannels;
        long area = (long)_sourceH * _sourceW;
        bool inVectors = V.Width == Vector512<float>.Count && _w.SourceStep <= 2 && Avx512F.IsSupported;
        int filled = inVectors && _w.Origins is [var even, var odd] && odd == even + 1 ? 2 : 1;
        for (int c = 0; c < SourceChannels; c++)
        {
            var norm = norms?[(group * SourceChannels) + c];
            for (int k = 0; k < Planes; k += filled)
            {
                float* target = planes + ((long)((c * Planes) + k) * PlaneStride);
                int top = _h.Origins[k / _w.Origins.Length] + (firstRow * _h.SourceStep);
                int left = _w.Origins[k % _w.Origins.Length];
                for (int image = 0; image < images; image++)
                {
                    float* plane = source + (((((long)firstImage + image) * channels) + (group * SourceChannels) + c) * area);
                    float* to = target + (image * _planeSize);
                    if (inVectors)
                        FillRows(plane, top, left, rows + _h.Reach, to, filled == 2 ? to + PlaneStride : null, norm);
                    else
                        FillPlane<V>(plane, top, left, rows + _h.Reach, to, norm);
                }

                // Vectors that run over the end are thrown away or multiplied by zero: they must be finite.
                int used = ((images - 1) * _planeSize) + ((rows + _h.Reach) * Pitch);
                for (int i = 0; i < filled; i++)
                    new Span<float>(target + (i * PlaneStride) + used, PlaneStride - used).Clear();
            }
        }
    }

    /// <summary>Lays out one unit of a tensor shaped like the forward results, vector by vector, zeros beside the grid.</summary>
    /// <param name="dy">The whole tensor [images, channels, h, w].</param>
    /// <param name="unit">The unit.</param>
    /// <param name="channel">The channel, of all groups.</param>
    /// <param name="row">The scratch: <see cref="RowLength"/>.</param>
    public void Spread<V>(float* dy, int unit, int channel, float* row)
        where V : unmanaged, IFloatLane<V>
    {
        var (firstImage, images, firstRow, rows) = Range(unit);
        for (int image = 0; image < images; image++)
        {
            long plane = ((firstImage + (long)image) * Groups * TargetChannels) + channel;
            float* from = dy + (((plane * _targetH) + firstRow) * _targetW);
            float* to = row + (image * ImageVectors * _width);
            float* end = to + (Vectors(rows) * _width);
            for (int i = 0; i < rows; i++)
            {
                CopyRow<V>(from, to, _w.Grid);
                from += _w.Grid;
                float* next = i == rows - 1 ? end : to + RowPitch;
                for (float* p = to + _w.Grid; p < next; p++)
                    *p = 0;
                to = next;
            }
        }
    }

    /// <summary>
    /// Copies, or adds, one channel of a unit's results to where they belong: those of the pair, or with
    /// <see cref="PairsAtOnce"/> of 2 those of two pairs, whose columns alternate.
    /// </summary>
    /// <param name="row">The results, vector by vector.</param>
    /// <param name="next">The next pair's.</param>
    /// <param name="unit">The unit.</param>
    /// <param name="pair">The pair of targets.</param>
    /// <param name="channel">The channel, of all groups.</param>
    /// <param name="destination">The whole destination [images, channels, h, w].</param>
    /// <param name="accumulate">Add to what is there.</param>
    public void Collect<V>(float* row, float* next, int unit, int pair, int channel, float* destination, bool accumulate)
        where V : unmanaged, IFloatLane<V>
    {
        var (firstImage, images, firstRow, rows) = Range(unit);
        ConvTarget h = _h.Targets[pair / _w.Targets.Length], w = _w.Targets[pair % _w.Targets.Length];
        int end = Math.Min(firstRow + rows, h.Count);
        float* even = w.Start == 0 ? row : next, odd = w.Start == 0 ? next : row;
        for (int image = 0; image < images; image++)
        {
            long from = image * ImageVectors * _width;
            float* plane = destination + (((firstImage + (long)image) * Groups * TargetChannels) + channel) * TargetArea;
            for (int i = firstRow; i < end; i++, from += RowPitch)
            {
                float* to = plane + ((long)(h.Start + (i * h.Step)) * _targetW);
                if (PairsAtOnce == 2)
                    StoreAlternating(even + from, odd + from, to, _targetW, accumulate);
                else if (w.Step == 1 && !accumulate)
                    CopyRow<V>(row + from, to + w.Start, w.Count);
                else
                    StoreRow(row + from, to + w.Start, w.Count, w.Step, accumulate);
            }
        }
    }

    /// <summary>Takes the moments of one unit's results of a group, which are there; in the forward pass.</summary>
    public void Take<V>(ConvMoments? moments, float* target, int unit, int group)
        where V : unmanaged, IFloatLane<V>
    {
        var (_, images, _, rows) = Range(unit);
        moments?.Add<V>(
            unit, group * TargetChannels, TargetChannels, target + Start(unit, group), TargetArea, (long)rows * _targetW, images,
            Groups * TargetChannels * TargetArea);
    }

    private (int[] Offsets, int[] Weights) ProductsOf(int pair, int sourceStride, int kernelWidth)
    {
        ConvTap[] tapsH = _h.Targets[pair / _w.Targets.Length].Taps, tapsW = _w.Targets[pair % _w.Targets.Length].Taps;
        int taps = tapsH.Length * tapsW.Length;
        int[] offsets = new int[SourceChannels * taps], weights = new int[offsets.Length];
        for (int k = 0; k < offsets.Length; k++)
        {
            ConvTap h = tapsH[k % taps / tapsW.Length], w = tapsW[k % tapsW.Length];
            int plane = (k / taps * Planes) + (h.Plane * _w.Origins.Length) + w.Plane;
            offsets[k] = checked((plane * PlaneStride) + (h.Offset * Pitch) + w.Offset);
            weights[k] = checked((k / taps * sourceStride) + (h.Index * kernelWidth) + w.Index);
        }

        return (offsets, weights);
    }

    private (int FirstImage, int Images, int FirstRow, int Rows) Range(int unit)
    {
        int image = unit / Bands * Batch;
        int row = unit % Bands * BandRows;
        return (image, Math.Min(Batch, _images - image), row, Math.Max(0, Math.Min(BandRows, _h.Grid - row)));
    }

    private int Vectors(int rows) => rows == 0 || _w.Grid == 0 ? 0
        : _byRows ? rows * _rowVectors : Pieces(((rows - 1) * Pitch) + _w.Grid, _width);
}
