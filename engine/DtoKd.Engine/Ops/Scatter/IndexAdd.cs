namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// A copy of x with slices added: y = x, then y[.., index[i], ..] += source[.., i, ..] for each i in order. The transpose of
    /// <see cref="IndexSelect"/>.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="index">I64 [n]: indices along the axis, in any order and as often as wanted.</param>
    /// <param name="source">x's shape with n along the axis, of x's type.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The index is no I64 vector, an entry is out of range, or the source does not fit.</exception>
    public static Tensor IndexAdd(Tensor x, int axis, Tensor index, Tensor source)
    {
        const string op = "index_add";
        var step = Step.Of(op, x, index, source);
        Pointwise.RequireFloat(op, x);
        axis = x.Shape.Axis(axis);
        if (index.DType != DType.I64 || index.Shape.Rank != 1)
            throw new ArgumentException($"{op}: got index {index}, expected I64 [n]");
        Require.Shape(op, "source", source, x.Shape.With(axis, index.Shape[0]), x);
        index = Contiguous(index);
        RequireInRange(op, index, x.Shape[axis]);
        if (!index.Device.IsHost)
            Gpu.IndexSelectGpu.Check(op, index, x.Shape[axis]);
        var y = step.New(x.Shape, x.DType, op);
        Copy(x, y, accumulate: false);
        source = Contiguous(source);
        var rows = new IndexedRows(x.Shape, axis, index);
        if (x.DType == DType.F64)
            rows.Add<double>(y, source);
        else
            rows.Add<float>(y, source);
        if (step.Tracks(x, source))
            step.Record(y, new IndexAddNode(index, axis), x, source);
        return y;
    }

    /// <summary>x's gradient is y's; a slice's gradient is that of the place it was added to.</summary>
    private sealed class IndexAddNode : Node
    {
        private readonly Tensor _index;
        private readonly int _axis;

        public IndexAddNode(Tensor index, int axis)
        {
            _index = Save(index);
            _axis = axis;
        }

        public override string Name => "index_add";

        public override void Backward(Tensor dy, Gradients into)
        {
            into.Give(0, dy);
            if (into.Wants(1))
                into.Give(1, IndexSelect(dy, _axis, _index));
        }
    }
}
