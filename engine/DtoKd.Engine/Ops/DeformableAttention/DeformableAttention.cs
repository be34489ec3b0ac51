namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Each query reads a few positions of maps at several scales and adds what is there: y[n, q, m] = sum over l and p of
    /// weights[n, q, m, l, p] times level l of value[n, :, m] at locations[n, q, m, l, p], bilinear, with zeros outside (Zhu et
    /// al., "Deformable DETR", 2021, equation 3 after the value projection).
    /// </summary>
    /// <param name="value">[N, S, M, D]: the pixels of all levels one after the other, for M heads.</param>
    /// <param name="spatialShapes">The height and width of each of the L levels; the areas sum to S.</param>
    /// <param name="locations">[N, Q, M, L, P, 2]: positions (across, down) from 0 to 1, edge to edge.</param>
    /// <param name="weights">[N, Q, M, L, P].</param>
    /// <returns>[N, Q, M D].</returns>
    /// <exception cref="ArgumentException">Shapes or types that do not fit each other.</exception>
    public static Tensor MultiScaleDeformableAttention(
        Tensor value, ReadOnlySpan<Pair> spatialShapes, Tensor locations, Tensor weights)
    {
        const string op = "ms_deform_attn";
        var step = Step.Of(op, value, locations, weights);
        Pointwise.RequireFloat(op, value);
        if (value.Shape.Rank != 4)
            throw new ArgumentException($"{op}: value has shape {value.Shape}, expected [N, S, heads, D]");
        var levels = DeformableLevels.Of(op, value.Shape, spatialShapes);
        if (weights.Shape.Rank != 5)
            throw new ArgumentException($"{op}: weights have shape {weights.Shape}, expected [N, Q, heads, levels, points]");
        int queries = weights.Shape[1], points = weights.Shape[4];
        Shape expected = [value.Shape[0], queries, value.Shape[2], levels.Count, points];
        Require.Shape(op, "weights", weights, expected, value);
        Require.Shape(op, "locations", locations, expected.Insert(5, 2), value);

        value = Contiguous(value);
        locations = Contiguous(locations);
        weights = Contiguous(weights);
        var y = step.New([value.Shape[0], queries, checked(value.Shape[2] * value.Shape[3])], value.DType, op);
        DeformableAttentionKernels.For(value).Forward(levels, value, locations, weights, y);
        if (step.Tracks(value, locations, weights))
            step.Record(y, new DeformableAttentionNode(levels, value, locations, weights), value, locations, weights);
        return y;
    }

    internal static readonly KernelTable<IDeformableAttentionKernels> DeformableAttentionKernels =
        new(new DeformableAttentionKernels<double>(), new DeformableAttentionKernels<float>(), new Gpu.DeformableAttentionGpu());

    /// <summary>
    /// With g the product of a pixel's value and dy: a pixel gets dy by the weights it was read with, a weight what it had read
    /// times dy, a location the slope of that.
    /// </summary>
    private sealed class DeformableAttentionNode : Node
    {
        private readonly DeformableLevels _levels;
        private readonly Tensor _value;
        private readonly Tensor _locations;
        private readonly Tensor _weights;

        public DeformableAttentionNode(DeformableLevels levels, Tensor value, Tensor locations, Tensor weights)
        {
            _levels = levels;
            _value = Save(value);
            _locations = Save(locations);
            _weights = Save(weights);
        }

        public override string Name => "ms_deform_attn";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dlocations = into.Step.New(_locations.Shape, _locations.DType, Name);
            var dweights = into.Step.New(_weights.Shape, _weights.DType, Name);
            Tensor? dvalue = null;
            if (into.Wants(0))
            {
                (dvalue, bool accumulate) = into.Target(0);
                if (!accumulate)
                    dvalue.Clear();
            }

            Op.DeformableAttentionKernels.For(dy).Backward(
                _levels, Contiguous(dy), _value, _locations, _weights, dvalue, dlocations, dweights);
            into.Give(1, dlocations);
            into.Give(2, dweights);
        }
    }
}

/// <summary>Kernels of <see cref="Op.MultiScaleDeformableAttention"/>.</summary>
internal interface IDeformableAttentionKernels
{
    void Forward(DeformableLevels levels, Tensor value, Tensor locations, Tensor weights, Tensor y);

    /// <summary>Adds to <paramref name="dvalue"/>, if there is one; writes the other two.</summary>
    void Backward(
        DeformableLevels levels,
        Tensor dy,
        Tensor value,
        Tensor locations,
        Tensor weights,
        Tensor? dvalue,
        Tensor dlocations,
        Tensor dweights);
}

/// <summary>The maps that stand one after the other along the pixels of a value.</summary>
internal sealed class DeformableLevels
{
    private readonly Pair[] _shapes;
    private readonly long[] _starts;

    private DeformableLevels(Pair[] shapes, long[] starts)
    {
        _shapes = shapes;
        _starts = starts;
    }

    /// <summary>The number of maps.</summary>
    public int Count => _shapes.Length;

    /// <exception cref="ArgumentException">The areas are negative or do not sum to the value's pixels.</exception>
    public static DeformableLevels Of(string op, Shape value, ReadOnlySpan<Pair> shapes)
    {
        var starts = new long[shapes.Length];
        long pixels = 0;
        for (int i = 0; i < shapes.Length; i++)
        {
            if (shapes[i].Height < 0 || shapes[i].Width < 0)
                throw new ArgumentException($"{op}: level {i} has shape {shapes[i]}");
            starts[i] = pixels;
            pixels += (long)shapes[i].Height * shapes[i].Width;
        }

        if (pixels != value[1])
            throw new ArgumentException($"{op}: levels {string.Join(", ", shapes.ToArray())} have {pixels} pixels, value {value} {value[1]}");
        return new DeformableLevels(shapes.ToArray(), starts);
    }

    /// <summary>Height and width of a level.</summary>
    public Pair Size(int level) => _shapes[level];

    /// <summary>The first pixel of a level.</summary>
    public long Start(int level) => _starts[level];

    /// <summary>The pixels that a location of a level reads.</summary>
    public SamplePoint Point(int level, double across, double down)
    {
        var (height, width) = _shapes[level];
        return SamplePoint.Bilinear((across * width) - 0.5, (down * height) - 0.5, width, height, height, width);
    }
}
