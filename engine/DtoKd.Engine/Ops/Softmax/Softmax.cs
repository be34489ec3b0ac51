namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>y = exp(x - max) / sum of exp(x - max) along an axis: positive numbers with sum 1.</summary>
    /// <param name="x">Floats. Minus infinity gets probability 0; a row of nothing else becomes NaN.</param>
    /// <param name="axis">The axis to normalise along; negative counts from the last.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">There is no such axis.</exception>
    public static Tensor Softmax(Tensor x, int axis = -1) => Softmax("softmax", x, axis, logarithm: false);

    /// <summary>
    /// y = x - max - log(sum of exp(x - max)) along an axis: the logarithm of <see cref="Softmax(Tensor, int)"/>.
    /// </summary>
    /// <param name="x">Floats. A row of minus infinities becomes NaN.</param>
    /// <param name="axis">The axis to normalise along; negative counts from the last.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">There is no such axis.</exception>
    public static Tensor LogSoftmax(Tensor x, int axis = -1) => Softmax("log_softmax", x, axis, logarithm: true);

    internal static readonly KernelTable<ISoftmaxKernels> SoftmaxKernels =
        new(new SoftmaxReference(), new SoftmaxCpu(), new Gpu.SoftmaxGpu());

    private static Tensor Softmax(string op, Tensor x, int axis, bool logarithm)
    {
        var step = Step.Of(op, x);
        Pointwise.RequireFloat(op, x);
        // A scalar is a row of one element.
        var extent = x.Shape.Rank == 0 && axis is 0 or -1 ? new SoftmaxExtent(1, 1, 1) : SoftmaxExtent.Of(x.Shape, axis);
        x = Contiguous(x);
        var y = step.New(x.Shape, x.DType, op);
        SoftmaxKernels.For(x).Forward(x, y, extent, logarithm);
        if (step.Tracks(x))
            step.Record(y, new SoftmaxNode(op, y, extent, logarithm), x);
        return y;
    }

    /// <summary>dx = y (dy - sum of dy y) for the softmax, dx = dy - exp(y) sum of dy for its logarithm.</summary>
    private sealed class SoftmaxNode : Node
    {
        private readonly Tensor _y;
        private readonly SoftmaxExtent _extent;
        private readonly bool _logarithm;

        public SoftmaxNode(string op, Tensor y, SoftmaxExtent extent, bool logarithm)
        {
            Name = op;
            _y = Save(y);
            _extent = extent;
            _logarithm = logarithm;
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            SoftmaxKernels.For(dy).Backward(dy, _y, into.Target(0, dy), _extent, _logarithm);
        }
    }
}

/// <summary>A tensor seen as [outer, length, inner], with the axis to normalise along in the middle.</summary>
internal readonly record struct SoftmaxExtent(long Outer, long Length, long Inner)
{
    public static SoftmaxExtent Of(Shape shape, int axis)
    {
        axis = shape.Axis(axis);
        return new(shape.CountOf(0, axis), shape[axis], shape.CountOf(axis + 1, shape.Rank));
    }
}

/// <summary>Kernels of <see cref="Op.Softmax(Tensor, int)"/> and its logarithm on contiguous tensors.</summary>
internal interface ISoftmaxKernels
{
    void Forward(Tensor x, Tensor y, SoftmaxExtent extent, bool logarithm);

    /// <summary>Writes or adds dx, which may lie in dy's place.</summary>
    void Backward(Tensor dy, Tensor y, GradTarget dx, SoftmaxExtent extent, bool logarithm);
}
