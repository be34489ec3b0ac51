using System.Numerics;
using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Slices of contiguous tensors seen as [outer, indexed axis, inner].</summary>
internal static class IndexSelectGpu
{
    /// <summary>y[o, i] = x[o, index[i]].</summary>
    public static void Read(Tensor x, Tensor index, int size, long inner, Tensor y)
    {
        switch (x.DType.Size())
        {
            case 4:
                IndexReadKernel<uint>.Launch(x, index, size, inner, y);
                break;
            case 8:
                IndexReadKernel<ulong>.Launch(x, index, size, inner, y);
                break;
            default:
                IndexReadKernel<byte>.Launch(x, index, size, inner, y);
                break;
        }
    }

    /// <summary>x[o, index[i]] += y[o, i] for each i in order; indices out of range are left out.</summary>
    public static void Add(Tensor x, Tensor index, long outer, int size, long inner, Tensor y)
    {
        var device = (GpuDevice)x.Device;
        long strips = (inner + device.GroupSize - 1) / device.GroupSize, groups = outer * size * strips;
        if (groups == 0 || index.Count == 0)
            return;
        device.Launcher.Launch<IndexAddKernel, IndexAddKernel.Args>(groups, device.GroupSize, new()
        {
            X = GpuDevice.View<float>(x),
            Y = GpuDevice.View<float>(y),
            Index = GpuDevice.View<long>(index),
            Size = size,
            Count = checked((int)index.Count),
            Inner = checked((int)inner),
            Strips = checked((int)strips),
        });
    }

    /// <summary>Notes entries that are not in 0 .. <paramref name="size"/> - 1.</summary>
    public static void Check(string op, Tensor index, int size)
    {
        var device = (GpuDevice)index.Device;
        GridStride.Launch<IndexCheckKernel, IndexCheckKernel.Args>(device, index.Count, new()
        {
            Index = GpuDevice.View<long>(index),
            Guard = device.Faults.Guard(op, size, Op.OutOfRange),
            Count = checked((int)index.Count),
        });
    }
}

/// <summary>A thread for each element of the slices.</summary>
internal readonly struct IndexReadKernel<T> : IKernel<IndexReadKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.All; i += GridStride.Step)
        {
            int slice = i / args.Inner, outer = slice / args.Count, position = slice - (outer * args.Count);
            long index = args.Index[position];
            if (args.Guard.Admits(index, position))
                args.Y[i] = args.X[(((outer * args.Guard.Size) + (int)index) * args.Inner) + i - (slice * args.Inner)];
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor x, Tensor index, int size, long inner, Tensor y)
    {
        var device = (GpuDevice)y.Device;
        GridStride.Launch<IndexReadKernel<T>, Args>(device, y.Count, new()
        {
            X = GpuDevice.View<T>(x),
            Y = GpuDevice.View<T>(y),
            Index = GpuDevice.View<long>(index),
            Guard = device.Faults.Guard("index_select", size, Op.OutOfRange),
            All = checked((int)y.Count),
            Count = checked((int)index.Count),
            Inner = checked((int)inner),
        });
    }

    internal struct Args
    {
        public ArrayView<T> X, Y;
        public ArrayView<long> Index;
        public IndexGuard Guard;
        public int All, Count, Inner;
    }
}

/// <summary>
/// A group for a strip of a slice that is added to: each thread looks for the slice's number among a few indices, then each adds
/// up its column of what all have found, in the order of the indices.
/// </summary>
internal readonly struct IndexAddKernel : IKernel<IndexAddKernel.Args>
{
    private const int MaxThreads = 1024;

    // As many as a mask has bits.
    private const int EachLooksAt = 32;

    public static void Run(Args args)
    {
        int slice = Grid.IdxX / args.Strips, outer = slice / args.Size, number = slice - (outer * args.Size);
        int column = ((Grid.IdxX - (slice * args.Strips)) * Group.DimX) + Group.IdxX;
        int target = (slice * args.Inner) + column;
        long source = ((long)outer * args.Count * args.Inner) + column;
        var found = SharedMemory.Allocate<int>(MaxThreads);
        float sum = column < args.Inner ? args.X[target] : 0;
        for (int first = 0; first < args.Count; first += EachLooksAt * Group.DimX)
        {
            int mine = first + (EachLooksAt * Group.IdxX), mask = 0;
            int end = IntrinsicMath.Min(EachLooksAt, args.Count - mine);
            for (int k = 0; k < end; k++)
                mask |= args.Index[mine + k] == number ? 1 << k : 0;
            found[Group.IdxX] = mask;
            Group.Barrier();
            int threads = IntrinsicMath.Min(Group.DimX, (args.Count - first + EachLooksAt - 1) / EachLooksAt);
            for (int i = 0; i < threads && column < args.Inner; i++)
            {
                int position = first + (EachLooksAt * i);
                for (int rest = found[i]; rest != 0; rest &= rest - 1)
                    sum += args.Y[source + ((long)(position + BitOperations.TrailingZeroCount(rest)) * args.Inner)];
            }

            Group.Barrier();
        }

        if (column < args.Inner)
            args.X[target] = sum;
    }

    internal struct Args
    {
        public ArrayView<float> X, Y;
        public ArrayView<long> Index;
        public int Size, Count, Inner, Strips;
    }
}

/// <summary>For operations whose other kernels look for places among the indices, and so cannot say which index is nowhere.</summary>
internal readonly struct IndexCheckKernel : IKernel<IndexCheckKernel.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
            args.Guard.Admits(args.Index[i], i);
    }

    internal struct Args
    {
        public ArrayView<long> Index;
        public IndexGuard Guard;
        public int Count;
    }
}
