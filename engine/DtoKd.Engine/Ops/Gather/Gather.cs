using System.Numerics;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// Single elements named by an index along one axis: y[.., i, ..] = x[.., index[.., i, ..], ..], the other axes at the same
    /// place.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="index">I64 of x's rank, along the other axes not larger than x.</param>
    /// <returns>A tensor of the index's shape.</returns>
    /// <exception cref="ArgumentException">The index does not fit x, or an entry is out of range.</exception>
    public static Tensor Gather(Tensor x, int axis, Tensor index)
    {
        var step = Step.Of("gather", x, index);
        axis = x.Shape.Axis(axis);
        bool fits = index.DType == DType.I64 && index.Shape.Rank == x.Shape.Rank;
        for (int i = 0; fits && i < x.Shape.Rank; i++)
            fits = i == axis || index.Shape[i] <= x.Shape[i];
        if (!fits)
            throw new ArgumentException($"gather: got index {index} for {x.Shape} along axis {axis}");
        index = Contiguous(index);
        RequireInRange("gather", index, x.Shape[axis]);
        var y = step.New(index.Shape, x.DType, "gather");
        if (!x.Device.IsHost)
            Gpu.GatherGpu.Run(x, axis, index, y);
        else
            GatherElements(x, axis, index, y);
        if (step.Tracks(x))
            step.Record(y, new GatherNode(index, axis), x);
        return y;
    }

    private static void GatherElements(Tensor x, int axis, Tensor index, Tensor y)
    {
        switch (x.DType.Size())
        {
            case 8:
                GatherElements((long*)x.Bytes(), x.Strides, axis, index, (long*)y.Bytes());
                break;
            case 4:
                GatherElements((int*)x.Bytes(), x.Strides, axis, index, (int*)y.Bytes());
                break;
            default:
                GatherElements(x.Bytes(), x.Strides, axis, index, y.Bytes());
                break;
        }
    }

    private static void GatherElements<T>(T* x, Strides strides, int axis, Tensor index, T* y)
        where T : unmanaged
    {
        long* at = index.Pointer<long>();
        long stride = strides[axis], count = index.Count;
        strides[axis] = 0;
        var place = new StridedIndex(index.Shape, strides);
        for (long i = 0; i < count; i++, place.Next())
            y[i] = x[place.Offset + (at[i] * stride)];
    }

    /// <summary>x[.., index[.., i, ..], ..] += source[.., i, ..] for each i in order, with index and source contiguous.</summary>
    private static void AddGathered(Tensor x, int axis, Tensor index, Tensor source)
    {
        if (!x.Device.IsHost)
            Gpu.GatherGpu.Add(x, axis, index, source);
        else if (x.DType == DType.F64)
            AddGathered<double>(x, axis, index, source);
        else
            AddGathered<float>(x, axis, index, source);
    }

    private static void AddGathered<T>(Tensor dx, int axis, Tensor index, Tensor dy)
        where T : unmanaged, IAdditionOperators<T, T, T>
    {
        T* target = dx.Pointer<T>(), source = dy.Pointer<T>();
        long* at = index.Pointer<long>();
        var strides = dx.Strides;
        long stride = strides[axis], count = index.Count;
        strides[axis] = 0;
        var place = new StridedIndex(index.Shape, strides);
        for (long i = 0; i < count; i++, place.Next())
            target[place.Offset + (at[i] * stride)] += source[i];
    }

    /// <summary>An element's gradient is the sum over the places it was copied to, in their order.</summary>
    private sealed class GatherNode : Node
    {
        private readonly Tensor _index;
        private readonly int _axis;

        public GatherNode(Tensor index, int axis)
        {
            _index = Save(index);
            _axis = axis;
        }

        public override string Name => "gather";

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            AddGathered(target.Tensor, _axis, _index, Contiguous(dy));
        }
    }
}
