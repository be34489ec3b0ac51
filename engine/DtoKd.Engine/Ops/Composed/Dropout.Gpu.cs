using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Masks of the same random words as on the CPU, and what they are applied to.</summary>
internal static class DropoutGpu
{
    /// <summary>Sets an element to the value, 1 for a mask, where its random word is below the limit, and to 0 elsewhere.</summary>
    public static void Draw(Tensor drawn, PhiloxStream random, ulong limit, double value)
    {
        if (drawn.DType == DType.Bool)
            DrawKernel<byte>.Launch(drawn, random, limit, 1);
        else
            DrawKernel<float>.Launch(drawn, random, limit, (float)value);
    }

    /// <summary>y = x factor where kept, 0 elsewhere.</summary>
    public static void Apply(Tensor x, Tensor kept, float factor, Tensor y) =>
        GridStride.Launch<ApplyMask, ApplyMask.Args>((GpuDevice)y.Device, y.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Kept = GpuDevice.View<byte>(kept),
            Y = GpuDevice.View<float>(y),
            Factor = factor,
            Count = checked((int)y.Count),
        });
}

/// <summary>A thread draws four elements, whose words come together.</summary>
internal readonly struct DrawKernel<T> : IKernel<DrawKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        int blocks = (int)(((long)args.Count + 3) / 4);
        for (int block = GridStride.First; block < blocks; block += GridStride.Step)
        {
            var words = args.Random.BlockOf((uint)block);
            int at = 4 * block;
            args.Put(at, words.W0);
            args.Put(at + 1, words.W1);
            args.Put(at + 2, words.W2);
            args.Put(at + 3, words.W3);
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(Tensor drawn, PhiloxStream random, ulong limit, T value) =>
        GridStride.Launch<DrawKernel<T>, Args>((GpuDevice)drawn.Device, (drawn.Count + 3) / 4, new()
        {
            Drawn = GpuDevice.View<T>(drawn),
            Random = random,
            Limit = limit,
            Value = value,
            Count = checked((int)drawn.Count),
        });

    internal struct Args
    {
        public ArrayView<T> Drawn;
        public PhiloxStream Random;
        public ulong Limit;
        public T Value;
        public int Count;

        public readonly void Put(int at, uint word)
        {
            if (at < Count)
                Drawn[at] = word < Limit ? Value : default;
        }
    }
}

internal readonly struct ApplyMask : IKernel<ApplyMask.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
            args.Y[i] = args.X[i] * (args.Kept[i] != 0 ? args.Factor : 0);
    }

    internal struct Args
    {
        public ArrayView<float> X, Y;
        public ArrayView<byte> Kept;
        public float Factor;
        public int Count;
    }
}
