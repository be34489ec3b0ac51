using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A thread for each index writes its 1 among the zeros.</summary>
internal static class OneHotGpu
{
    /// <summary>As <see cref="Op.OneHot"/>, into zeros.</summary>
    public static void Run(Tensor index, int classes, Tensor y)
    {
        switch (y.DType)
        {
            case DType.F32:
                OneHotKernel<float>.Launch(index, classes, y, 1);
                break;
            case DType.F64:
                OneHotKernel<double>.Launch(index, classes, y, 1);
                break;
            case DType.I32:
                OneHotKernel<int>.Launch(index, classes, y, 1);
                break;
            case DType.I64:
                OneHotKernel<long>.Launch(index, classes, y, 1);
                break;
            default:
                OneHotKernel<byte>.Launch(index, classes, y, 1);
                break;
        }
    }
}

/// <summary>y[i, index[i]] = 1.</summary>
internal readonly struct OneHotKernel<T> : IKernel<OneHotKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            long index = args.Index[i];
            if (args.Guard.Admits(index, i))
                args.Y[((long)i * args.Guard.Size) + index] = args.One;
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor index, int classes, Tensor y, T one)
    {
        var device = (GpuDevice)y.Device;
        GridStride.Launch<OneHotKernel<T>, Args>(device, index.Count, new()
        {
            Index = GpuDevice.View<long>(index),
            Y = GpuDevice.View<T>(y),
            One = one,
            Guard = device.Faults.Guard("one_hot", classes, Op.OutOfRange),
            Count = checked((int)index.Count),
        });
    }

    internal struct Args
    {
        public ArrayView<long> Index;
        public ArrayView<T> Y;
        public T One;
        public IndexGuard Guard;
        public int Count;
    }
}
