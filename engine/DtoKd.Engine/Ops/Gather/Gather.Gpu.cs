using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Single elements named by an index along an axis, and sums over the places they are named at.</summary>
internal static class GatherGpu
{
    /// <summary>As <see cref="Op.Gather"/>, with a contiguous index.</summary>
    public static void Run(Tensor x, int axis, Tensor index, Tensor y)
    {
        switch (x.DType.Size())
        {
            case 4:
                GatherKernel<uint>.Launch(x, axis, index, y);
                break;
            case 8:
                GatherKernel<ulong>.Launch(x, axis, index, y);
                break;
            default:
                GatherKernel<byte>.Launch(x, axis, index, y);
                break;
        }
    }

    /// <summary>x[.., index[.., i, ..], ..] += source[.., i, ..], with index and source contiguous.</summary>
    public static void Add(Tensor x, int axis, Tensor index, Tensor source)
    {
        if (index.Count > 0)
            GridStride.Launch<GatherAddKernel, GatherAddKernel.Args>((GpuDevice)x.Device, IndexLines.CountOf(x, axis, index), new()
            {
                X = GpuDevice.View<float>(x),
                Source = GpuDevice.View<float>(source),
                Lines = new IndexLines(x, axis, index),
            });
    }
}

/// <summary>
/// The elements of a tensor that an index along an axis can name, and the line of entries, one after the other along that axis,
/// where each of them may be named.
/// </summary>
internal struct IndexLines
{
    public ArrayView<long> Index;

    /// <summary>The entries of a line, and how far they are apart.</summary>
    public int Length, Stride;

    /// <summary>Where an element is in the tensor, where its line starts, and its number along the axis.</summary>
    public Walk Walk;

    public IndexLines(Tensor x, int axis, Tensor index)
    {
        var ones = default(Strides);
        ones[axis] = 1;
        var lines = index.Strides;
        lines[axis] = 0;
        Index = GpuDevice.View<long>(index);
        Length = index.Shape[axis];
        Stride = checked((int)index.Strides[axis]);
        Walk = new Walk(new StridedLoop(index.Shape.With(axis, x.Shape[axis]), x.Strides, lines, ones));
    }

    public static long CountOf(Tensor x, int axis, Tensor index) => index.Shape.With(axis, x.Shape[axis]).Count;
}

/// <summary>A thread for each element of the result.</summary>
internal readonly struct GatherKernel<T> : IKernel<GatherKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            long index = args.Index[i];
            if (args.Guard.Admits(index, i))
                args.Y[i] = args.X[args.First + args.Walk.At(i).A + ((int)index * args.Stride)];
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor x, int axis, Tensor index, Tensor y)
    {
        var device = (GpuDevice)y.Device;
        var lines = x.Strides;
        lines[axis] = 0;
        GridStride.Launch<GatherKernel<T>, Args>(device, y.Count, new()
        {
            X = GpuDevice.View<T>(x, out int first),
            First = first,
            Y = GpuDevice.View<T>(y),
            Index = GpuDevice.View<long>(index),
            Guard = device.Faults.Guard("gather", x.Shape[axis], Op.OutOfRange),
            Stride = checked((int)x.Strides[axis]),
            Walk = new Walk(new StridedLoop(index.Shape, lines)),
        });
    }

    internal struct Args
    {
        public ArrayView<T> X, Y;
        public ArrayView<long> Index;
        public IndexGuard Guard;
        public int First, Stride;
        public Walk Walk;
    }
}

/// <summary>A thread for each element that is added to: it looks for its number along its line.</summary>
internal readonly struct GatherAddKernel : IKernel<GatherAddKernel.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Lines.Walk.Count; i += GridStride.Step)
        {
            var at = args.Lines.Walk.At(i);
            float sum = args.X[at.A];
            int entry = at.B;
            for (int k = 0; k < args.Lines.Length; k++, entry += args.Lines.Stride)
            {
                if (args.Lines.Index[entry] == at.C)
                    sum += args.Source[entry];
            }

            args.X[at.A] = sum;
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Source;
        public IndexLines Lines;
    }
}
