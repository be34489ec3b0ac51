using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// The elements along an axis in order, and where each was. Equal elements keep their order; NaN counts as larger than every
    /// number. The gradient goes back to where each element came from.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="descending">Whether the largest comes first.</param>
    /// <returns>The values, and their indices as an I64 tensor of the same shape.</returns>
    public static (Tensor Values, Tensor Indices) Sort(Tensor x, int axis, bool descending = false) =>
        Sorted("sort", x, axis, descending, x.Shape[axis]);

    /// <summary>The k largest (or smallest) elements along an axis, the most extreme first, and where each was.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="k">How many; at most the axis' size.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="largest">Whether the largest are wanted.</param>
    /// <returns>The values, and their indices as an I64 tensor of the same shape; equals as in <see cref="Sort"/>.</returns>
    /// <exception cref="ArgumentException">There are not that many elements.</exception>
    public static (Tensor Values, Tensor Indices) TopK(Tensor x, int k, int axis, bool largest = true)
    {
        if ((uint)k > (uint)x.Shape[axis])
            throw new ArgumentException($"topk: {k} elements of axis {axis} of shape {x.Shape}");
        return Sorted("topk", x, axis, largest, k);
    }

    /// <summary>Rows are sorted: another axis is moved to the end and back.</summary>
    private static (Tensor Values, Tensor Indices) Sorted(string op, Tensor x, int axis, bool descending, int k)
    {
        var step = Step.Of(op, x);
        Pointwise.RequireFloat(op, x);
        axis = x.Shape.Axis(axis);
        var rows = Contiguous(Transpose(x, axis, -1));
        var indices = step.New(rows.Shape.With(-1, k), DType.I64, op);
        var values = step.New(indices.Shape, x.DType, op);
        if (!x.Device.IsHost)
            Gpu.SortGpu.Run(rows, values, indices, descending);
        else if (x.DType == DType.F64)
            SortRows<double>(rows, values, indices, descending);
        else
            SortRows<float>(rows, values, indices, descending);
        if (step.Tracks(rows))
            step.Record(values, new SortNode(op, indices), rows);
        return (Transpose(values, axis, -1), Transpose(indices, axis, -1));
    }

    private static void SortRows<T>(Tensor x, Tensor values, Tensor indices, bool descending)
        where T : unmanaged, INumber<T>
    {
        const long Grain = 4096;
        T* px = x.Pointer<T>(), pv = values.Pointer<T>();
        long* pi = indices.Pointer<long>();
        int length = x.Shape[^1], k = values.Shape[^1];
        long count = k == 0 ? 0 : values.Count / k;
        ((CpuDevice)x.Device).Team.ForRange(count, Math.Max(1, Grain / Math.Max(1, length)), (start, end) =>
        {
            var order = new int[length];
            for (long row = start; row < end; row++)
            {
                T* source = px + (row * length);
                for (int i = 0; i < length; i++)
                    order[i] = i;
                order.AsSpan().Sort(new ByValue<T>(source, descending));
                for (int i = 0; i < k; i++)
                {
                    pi[(row * k) + i] = order[i];
                    pv[(row * k) + i] = source[order[i]];
                }
            }
        });
    }

    private readonly struct ByValue<T>(T* values, bool descending) : IComparer<int>
        where T : unmanaged, INumber<T>
    {
        private readonly T* _values = values;

        public int Compare(int a, int b)
        {
            T x = _values[a], y = _values[b];
            int order = x < y ? -1 : x > y ? 1 : T.IsNaN(x).CompareTo(T.IsNaN(y));
            return order == 0 ? a.CompareTo(b) : descending ? -order : order;
        }
    }

    private sealed class SortNode : Node
    {
        private readonly Tensor _indices;

        public SortNode(string op, Tensor indices)
        {
            Name = op;
            _indices = Save(indices);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            dy = Contiguous(dy);
            if (!dy.Device.IsHost)
                Gpu.GatherGpu.Add(target.Tensor, target.Tensor.Shape.Rank - 1, _indices, dy);
            else if (dy.DType == DType.F64)
                Add<double>(dy, target.Tensor);
            else
                Add<float>(dy, target.Tensor);
        }

        private void Add<T>(Tensor dy, Tensor dx)
            where T : unmanaged, INumber<T>
        {
            T* pdy = dy.Pointer<T>(), pdx = dx.Pointer<T>();
            long* pi = _indices.Pointer<long>();
            int k = dy.Shape[^1], length = dx.Shape[^1];
            for (long i = 0; i < dy.Count; i++)
                pdx[(i / k * length) + pi[i]] += pdy[i];
        }
    }
}
