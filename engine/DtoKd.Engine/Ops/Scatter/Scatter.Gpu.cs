using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Elements replaced along an axis. Where several go to one place, the thread of that place finds the last of them.</summary>
internal static class ScatterGpu
{
    /// <summary>y[.., index[.., i, ..], ..] = source[.., i, ..], with index and source contiguous.</summary>
    public static void Run(Tensor y, int axis, Tensor index, Tensor source)
    {
        if (index.Count == 0)
            return;
        switch (y.DType.Size())
        {
            case 4:
                ScatterKernel<uint>.Launch(y, axis, index, source);
                break;
            case 8:
                ScatterKernel<ulong>.Launch(y, axis, index, source);
                break;
            default:
                ScatterKernel<byte>.Launch(y, axis, index, source);
                break;
        }
    }

    /// <summary>Moves elements of dx to the one of dsource that was written last; the others get zero, as what is left behind.</summary>
    public static void TakeBack(Tensor dx, int axis, Tensor index, Tensor dsource)
    {
        if (index.Count == 0)
            return;
        dsource.Clear();
        GridStride.Launch<TakeBackKernel, TakeBackKernel.Args>((GpuDevice)dx.Device, IndexLines.CountOf(dx, axis, index), new()
        {
            X = GpuDevice.View<float>(dx),
            Source = GpuDevice.View<float>(dsource),
            Lines = new IndexLines(dx, axis, index),
        });
    }

    /// <summary>The last entry of a line that is a number, or -1.</summary>
    public static int LastOf(IndexLines lines, int first, int number)
    {
        int entry = first + ((lines.Length - 1) * lines.Stride);
        for (int k = 0; k < lines.Length; k++, entry -= lines.Stride)
        {
            if (lines.Index[entry] == number)
                return entry;
        }

        return -1;
    }
}

/// <summary>A thread for each element that may be replaced.</summary>
internal readonly struct ScatterKernel<T> : IKernel<ScatterKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Lines.Walk.Count; i += GridStride.Step)
        {
            var at = args.Lines.Walk.At(i);
            int entry = ScatterGpu.LastOf(args.Lines, at.B, at.C);
            if (entry >= 0)
                args.Y[at.A] = args.Source[entry];
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor y, int axis, Tensor index, Tensor source) =>
        GridStride.Launch<ScatterKernel<T>, Args>((GpuDevice)y.Device, IndexLines.CountOf(y, axis, index), new()
        {
            Y = GpuDevice.View<T>(y),
            Source = GpuDevice.View<T>(source),
            Lines = new IndexLines(y, axis, index),
        });

    internal struct Args
    {
        public ArrayView<T> Y, Source;
        public IndexLines Lines;
    }
}

/// <summary>A thread for each element that may have been replaced: no entry is named by two.</summary>
internal readonly struct TakeBackKernel : IKernel<TakeBackKernel.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Lines.Walk.Count; i += GridStride.Step)
        {
            var at = args.Lines.Walk.At(i);
            int entry = ScatterGpu.LastOf(args.Lines, at.B, at.C);
            if (entry < 0)
                continue;
            args.Source[entry] = args.X[at.A];
            args.X[at.A] = 0;
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Source;
        public IndexLines Lines;
    }
}
