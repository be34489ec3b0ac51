namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// A copy of x with single elements replaced along one axis: y[.., index[.., i, ..], ..] = source[.., i, ..], the other axes
    /// at the same place. Of several elements for one place the last in the index's row-major order stays.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="index">I64 of x's rank, along the other axes not larger than x.</param>
    /// <param name="source">A tensor of the index's shape and x's type.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The index or the source does not fit, or an entry is out of range.</exception>
    public static Tensor Scatter(Tensor x, int axis, Tensor index, Tensor source)
    {
        const string op = "scatter";
        var step = Step.Of(op, x, index, source);
        axis = x.Shape.Axis(axis);
        index = RequireScatter(op, x, axis, index, source);
        var y = step.New(x.Shape, x.DType, op);
        Copy(x, y, accumulate: false);
        source = Contiguous(source);
        if (!x.Device.IsHost)
            Gpu.ScatterGpu.Run(y, axis, index, source);
        else
            ScatterElements(axis, index, source, y);
        if (step.Tracks(x, source))
            step.Record(y, new ScatterNode(index, axis), x, source);
        return y;
    }

    private static void ScatterElements(int axis, Tensor index, Tensor source, Tensor y)
    {
        switch (y.DType.Size())
        {
            case 8:
                ScatterElements(y.Strides, axis, index, (long*)source.Bytes(), (long*)y.Bytes());
                break;
            case 4:
                ScatterElements(y.Strides, axis, index, (int*)source.Bytes(), (int*)y.Bytes());
                break;
            default:
                ScatterElements(y.Strides, axis, index, source.Bytes(), y.Bytes());
                break;
        }
    }

    /// <summary>
    /// A copy of x with single elements added along one axis: y = x, then y[.., index[.., i, ..], ..] += source[.., i, ..], the
    /// other axes at the same place. Several elements for one place are added in the index's row-major order.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="index">I64 of x's rank, along the other axes not larger than x.</param>
    /// <param name="source">A tensor of the index's shape and x's type.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The index or the source does not fit, or an entry is out of range.</exception>
    public static Tensor ScatterAdd(Tensor x, int axis, Tensor index, Tensor source)
    {
        const string op = "scatter_add";
        var step = Step.Of(op, x, index, source);
        Pointwise.RequireFloat(op, x);
        axis = x.Shape.Axis(axis);
        index = RequireScatter(op, x, axis, index, source);
        var y = step.New(x.Shape, x.DType, op);
        Copy(x, y, accumulate: false);
        AddGathered(y, axis, index, Contiguous(source));
        if (step.Tracks(x, source))
            step.Record(y, new ScatterAddNode(index, axis), x, source);
        return y;
    }

    /// <summary>Checks the inputs of a scatter and returns the contiguous index.</summary>
    private static Tensor RequireScatter(string op, Tensor x, int axis, Tensor index, Tensor source)
    {
        bool fits = index.DType == DType.I64 && index.Shape.Rank == x.Shape.Rank;
        for (int i = 0; fits && i < x.Shape.Rank; i++)
            fits = i == axis || index.Shape[i] <= x.Shape[i];
        if (!fits)
            throw new ArgumentException($"{op}: got index {index} for {x.Shape} along axis {axis}");
        if (source.Shape != index.Shape || source.DType != x.DType)
            throw new ArgumentException($"{op}: got source {source}, expected {x.DType} {index.Shape} as the index");
        index = Contiguous(index);
        RequireInRange(op, index, x.Shape[axis]);
        if (!index.Device.IsHost)
            Gpu.IndexSelectGpu.Check(op, index, x.Shape[axis]);
        return index;
    }

    private static void ScatterElements<T>(Strides strides, int axis, Tensor index, T* source, T* y)
        where T : unmanaged
    {
        long* at = index.Pointer<long>();
        long stride = strides[axis], count = index.Count;
        strides[axis] = 0;
        var place = new StridedIndex(index.Shape, strides);
        for (long i = 0; i < count; i++, place.Next())
            y[place.Offset + (at[i] * stride)] = source[i];
    }

    /// <summary>Moves elements of dx to dsource, in the reverse order: who wrote last takes, the others find a zero.</summary>
    private static void TakeBack<T>(Tensor dx, int axis, Tensor index, Tensor dsource)
        where T : unmanaged
    {
        T* from = dx.Pointer<T>(), to = dsource.Pointer<T>();
        long* at = index.Pointer<long>();
        var strides = dx.Strides;
        long stride = strides[axis], count = index.Count, last = 0;
        strides[axis] = 0;
        for (int i = 0; i < index.Shape.Rank; i++)
        {
            last += (index.Shape[i] - 1) * strides[i];
            strides[i] = -strides[i];
        }

        var place = new StridedIndex(index.Shape, strides);
        for (long i = count - 1; i >= 0; i--, place.Next())
        {
            long element = last + place.Offset + (at[i] * stride);
            to[i] = from[element];
            from[element] = default;
        }
    }

    /// <summary>An element of y came from the source that was written there last, or else from x.</summary>
    private sealed class ScatterNode : Node
    {
        private readonly Tensor _index;
        private readonly int _axis;

        public ScatterNode(Tensor index, int axis)
        {
            _index = Save(index);
            _axis = axis;
        }

        public override string Name => "scatter";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Step.New(dy.Shape, dy.DType, "scatter");
            var dsource = into.Step.New(_index.Shape, dy.DType, "scatter");
            Copy(dy, dx, accumulate: false);
            if (!dy.Device.IsHost)
                Gpu.ScatterGpu.TakeBack(dx, _axis, _index, dsource);
            else if (dy.DType == DType.F64)
                TakeBack<double>(dx, _axis, _index, dsource);
            else
                TakeBack<float>(dx, _axis, _index, dsource);
            into.Give(0, dx);
            into.Give(1, dsource);
        }
    }

    /// <summary>x's gradient is y's; a source's gradient is that of the place it was added to.</summary>
    private sealed class ScatterAddNode : Node
    {
        private readonly Tensor _index;
        private readonly int _axis;

        public ScatterAddNode(Tensor index, int axis)
        {
            _index = Save(index);
            _axis = axis;
        }

        public override string Name => "scatter_add";

        public override void Backward(Tensor dy, Gradients into)
        {
            into.Give(0, dy);
            if (into.Wants(1))
                into.Give(1, Gather(dy, _axis, _index));
        }
    }
}
