using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Copies and fills. What lies without gaps on both sides is copied by the driver.</summary>
internal static class CopyGpu
{
    /// <summary>As <see cref="Op.Copy"/>.</summary>
    public static void Run(StridedLoop loop, Tensor from, Tensor to, bool accumulate)
    {
        var device = (GpuDevice)to.Device;
        if (to.Count == 0)
            return;
        if (accumulate)
        {
            if (to.DType != DType.F32)
                throw new NotSupportedException($"sums of {to.DType} gradients have no kernel on {device.Name}");
            GridStride.Launch<AddKernel, AddKernel.Args>(
                device, to.Count, new() { To = GpuDevice.View<float>(to), From = GpuDevice.View<float>(from), Walk = new Walk(loop) });
            return;
        }

        if (from.IsContiguous && to.IsContiguous)
        {
            device.CopyBytes(from, to);
            return;
        }

        switch (to.DType.Size())
        {
            case 4:
                CopyKernel<uint>.Launch(loop, from, to);
                break;
            case 8:
                CopyKernel<ulong>.Launch(loop, from, to);
                break;
            default:
                CopyKernel<byte>.Launch(loop, from, to);
                break;
        }
    }

    /// <summary>Sets every element of a contiguous tensor.</summary>
    public static void Fill(Tensor target, double value)
    {
        switch (target.DType)
        {
            case DType.F32:
                FillKernel<float>.Launch(target, (float)value);
                break;
            case DType.F64:
                FillKernel<double>.Launch(target, value);
                break;
            case DType.I32:
                FillKernel<int>.Launch(target, (int)value);
                break;
            case DType.I64:
                FillKernel<long>.Launch(target, (long)value);
                break;
            default:
                FillKernel<byte>.Launch(target, (byte)(value != 0 ? 1 : 0));
                break;
        }
    }
}

/// <summary>to = from, with any strides.</summary>
internal readonly struct CopyKernel<T> : IKernel<CopyKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            var at = args.Walk.At(i);
            args.To[at.A] = args.From[args.First + at.B];
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(StridedLoop loop, Tensor from, Tensor to) =>
        GridStride.Launch<CopyKernel<T>, Args>(
            (GpuDevice)to.Device, to.Count, new()
            {
                To = GpuDevice.View<T>(to),
                From = GpuDevice.View<T>(from, out int first),
                First = first,
                Walk = new Walk(loop),
            });

    internal struct Args
    {
        public ArrayView<T> To, From;

        /// <summary>Where the first element of <see cref="From"/> is: its strides may be negative.</summary>
        public int First;

        public Walk Walk;
    }
}

/// <summary>to += from, with any strides.</summary>
internal readonly struct AddKernel : IKernel<AddKernel.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            var at = args.Walk.At(i);
            args.To[at.A] += args.From[at.B];
        }
    }

    internal struct Args
    {
        public ArrayView<float> To, From;
        public Walk Walk;
    }
}

/// <summary>Every element = one value.</summary>
internal readonly struct FillKernel<T> : IKernel<FillKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
            args.To[i] = args.Value;
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor target, T value) =>
        GridStride.Launch<FillKernel<T>, Args>(
            (GpuDevice)target.Device, target.Count, new() { To = GpuDevice.View<T>(target), Value = value, Count = checked((int)target.Count) });

    internal struct Args
    {
        public ArrayView<T> To;
        public T Value;
        public int Count;
    }
}
