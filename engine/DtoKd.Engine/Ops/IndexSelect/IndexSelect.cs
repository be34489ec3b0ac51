using System.Numerics;
using System.Numerics.Tensors;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    // A block of rows copies about this many elements; a block of columns adds as many for one index.
    private const long IndexGrain = 16384;
    private const long IndexColumns = 1024;

    /// <summary>
    /// The slices of a tensor named by an index: y[.., i, ..] = x[.., index[i], ..]. With axis 0 of a table this is an embedding.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="index">I64 [n]: indices along the axis, in any order and as often as wanted.</param>
    /// <returns>x's shape with n along the axis.</returns>
    /// <exception cref="ArgumentException">The index is no I64 vector, or an entry is out of range.</exception>
    public static Tensor IndexSelect(Tensor x, int axis, Tensor index)
    {
        var step = Step.Of("index_select", x, index);
        axis = x.Shape.Axis(axis);
        if (index.DType != DType.I64 || index.Shape.Rank != 1)
            throw new ArgumentException($"index_select: got index {index}, expected I64 [n]");
        index = Contiguous(index);
        RequireInRange("index_select", index, x.Shape[axis]);
        x = Contiguous(x);
        var y = step.New(x.Shape.With(axis, index.Shape[0]), x.DType, "index_select");
        var rows = new IndexedRows(x.Shape, axis, index);
        rows.Read(x, y);
        if (step.Tracks(x))
            step.Record(y, new IndexSelectNode(index, axis), x);
        return y;
    }

    /// <summary>
    /// Throws unless every entry of a contiguous I64 tensor is in 0 .. <paramref name="size"/> - 1. On a device, its kernels check.
    /// </summary>
    private static void RequireInRange(string op, Tensor index, int size)
    {
        if (!index.Device.IsHost)
            return;
        var values = index.Span<long>();
        for (int i = 0; i < values.Length; i++)
        {
            if ((ulong)values[i] >= (ulong)size)
                throw OutOfRange(op, size, values[i], i);
        }
    }

    internal static ArgumentException OutOfRange(string op, int size, long index, long position) =>
        new($"{op}: index {index} at position {position} is not in 0 .. {size - 1}");

    /// <summary>A slice's gradient is the sum over the places it was copied to.</summary>
    private sealed class IndexSelectNode : Node
    {
        private readonly Tensor _index;
        private readonly int _axis;

        public IndexSelectNode(Tensor index, int axis)
        {
            _index = Save(index);
            _axis = axis;
        }

        public override string Name => "index_select";

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            var rows = new IndexedRows(target.Tensor.Shape, _axis, _index);
            if (dy.DType == DType.F64)
                rows.Add<double>(target.Tensor, Contiguous(dy));
            else
                rows.Add<float>(target.Tensor, Contiguous(dy));
        }
    }

    /// <summary>A contiguous tensor as [outer, indexed axis, inner].</summary>
    private readonly struct IndexedRows(Shape shape, int axis, Tensor index)
    {
        private readonly long _outer = shape.CountOf(0, axis);
        private readonly int _size = shape[axis];
        private readonly long _inner = shape.CountOf(axis + 1, shape.Rank);

        public void Read(Tensor x, Tensor y)
        {
            if (!x.Device.IsHost)
            {
                Gpu.IndexSelectGpu.Read(x, index, _size, _inner, y);
                return;
            }

            byte* source = x.Bytes(), target = y.Bytes();
            long* at = index.Pointer<long>();
            long count = index.Count, size = _size, row = _inner * x.DType.Size();
            ((CpuDevice)x.Device).Team.ForRange(_outer * count, Math.Max(1, IndexGrain / Math.Max(1, _inner)), (start, end) =>
            {
                for (long i = start; i < end; i++)
                    Buffer.MemoryCopy(source + (((i / count * size) + at[i % count]) * row), target + (i * row), row, row);
            });
        }

        /// <summary>Adds rows of y to the rows of x they came from, in the index's order: a block owns its columns.</summary>
        public void Add<T>(Tensor x, Tensor y)
            where T : unmanaged, IAdditionOperators<T, T, T>, IAdditiveIdentity<T, T>
        {
            if (!x.Device.IsHost)
            {
                Gpu.IndexSelectGpu.Add(x, index, _outer, _size, _inner, y);
                return;
            }

            T* target = x.Pointer<T>(), source = y.Pointer<T>();
            long* at = index.Pointer<long>();
            long count = index.Count, size = _size, inner = _inner, strips = (inner + IndexColumns - 1) / IndexColumns;
            ((CpuDevice)x.Device).Team.For(checked((int)(_outer * strips)), task =>
            {
                long outer = task / strips, column = task % strips * IndexColumns;
                int width = (int)Math.Min(IndexColumns, inner - column);
                for (long i = 0; i < count; i++)
                {
                    var sum = new Span<T>(target + (((outer * size) + at[i]) * inner) + column, width);
                    TensorPrimitives.Add(sum, new ReadOnlySpan<T>(source + (((outer * count) + i) * inner) + column, width), sum);
                }
            });
        }
    }
}
