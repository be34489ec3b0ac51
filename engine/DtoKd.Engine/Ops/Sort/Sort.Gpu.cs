using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Sorting by counting: an element's place is the number of elements of its row that come before it. A thread counts for each
/// element; nothing is exchanged, and a warp reads the same element at a time. The work is length^2 a row, little on a GPU for the
/// thousands of elements that rows have here.
/// </summary>
internal static class SortGpu
{
    /// <summary>The first elements of each row in order, and where they were.</summary>
    public static void Run(Tensor rows, Tensor values, Tensor indices, bool descending) =>
        GridStride.Launch<RankKernel, RankKernel.Args>((GpuDevice)rows.Device, values.Count == 0 ? 0 : rows.Count, new()
        {
            X = GpuDevice.View<float>(rows),
            Values = GpuDevice.View<float>(values),
            Indices = GpuDevice.View<long>(indices),
            Count = checked((int)rows.Count),
            Length = rows.Shape[^1],
            Wanted = values.Shape[^1],
            Descending = descending ? -1 : 0,
        });
}

internal readonly struct RankKernel : IKernel<RankKernel.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int row = i / args.Length, first = row * args.Length, place = 0, key = args.Key(i);
            // Equal elements keep their order.
            for (int j = first; j < i; j++)
                place += args.Key(j) <= key ? 1 : 0;
            for (int j = i + 1; j < first + args.Length; j++)
                place += args.Key(j) < key ? 1 : 0;
            if (place >= args.Wanted)
                continue;
            int to = (row * args.Wanted) + place;
            args.Values[to] = args.X[i];
            args.Indices[to] = i - first;
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Values;
        public ArrayView<long> Indices;
        public int Count, Length, Wanted;

        /// <summary>All bits set for the largest first.</summary>
        public int Descending;

        /// <summary>A whole number in the order of the elements; 0 and -0 have the same, and NaN has the largest.</summary>
        public readonly int Key(int at)
        {
            float x = X[at];
            int bits = x == 0 ? 0 : (int)Interop.FloatAsInt(x);
            int key = float.IsNaN(x) ? int.MaxValue : bits ^ ((bits >> 31) & int.MaxValue);
            return key ^ Descending;
        }
    }
}
