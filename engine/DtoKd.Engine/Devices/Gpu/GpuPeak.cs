using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A GPU's part of <see cref="MachinePeak"/>.</summary>
internal static class GpuPeak
{
    // Groups for each processor: enough warps to fill its pipelines.
    private const int GroupsEach = 16;
    private const int Turns = 20_000;

    /// <summary>Measures multiply-adds of single precision on the ordinary cores; tensor cores do more.</summary>
    public static double FlopsPerSecond(GpuDevice device)
    {
        long groups = (long)GroupsEach * device.Processors;
        using var step = Step.Evaluation(device);
        var args = new FmaChains.Args { Y = GpuDevice.View<float>(step.Zeros([1])), X = 1e-9f, Turns = Turns };
        double seconds = MachinePeak.Best(device, () => device.Launcher.Launch<FmaChains, FmaChains.Args>(groups, device.GroupSize, args));
        return 2.0 * FmaChains.Chains * Turns * groups * device.GroupSize / seconds;
    }

    /// <summary>Copies between blocks: by vectors where both are of whole ones, else as the driver does.</summary>
    public static void Copy(GpuDevice device, Tensor from, Tensor to)
    {
        if (from.Offset % 4 != 0 || to.Offset % 4 != 0 || from.Count % 4 != 0)
        {
            device.CopyBytes(from, to);
            return;
        }

        GridStride.Launch<CopyVectors, CopyVectors.Args>(device, from.Count / 4, new()
        {
            To = GpuDevice.View<float>(to).Cast<Float4>(),
            From = GpuDevice.View<float>(from),
            Count = (int)(from.Count / 4),
        });
    }
}

/// <summary>to = from by vectors of four floats, four of which a thread has under way at a time.</summary>
internal readonly struct CopyVectors : IKernel<CopyVectors.Args>
{
    public static void Run(Args args)
    {
        int step = GridStride.Step, i = GridStride.First;
        for (; i < args.Count - (3 * step); i += 4 * step)
        {
            Float4 a = Load(args, i), b = Load(args, i + step), c = Load(args, i + (2 * step)), d = Load(args, i + (3 * step));
            args.To[i] = a;
            args.To[i + step] = b;
            args.To[i + (2 * step)] = c;
            args.To[i + (3 * step)] = d;
        }

        for (; i < args.Count; i += step)
            args.To[i] = Load(args, i);
    }

    private static Float4 Load(Args args, int i) => Ptx.LoadReadOnly4(ref args.From[4 * i]);

    internal struct Args
    {
        public ArrayView<Float4> To;
        public ArrayView<float> From;
        public int Count;
    }
}

/// <summary>Chains of multiply-adds that wait for themselves alone.</summary>
internal readonly struct FmaChains : IKernel<FmaChains.Args>
{
    public const int Chains = 8;

    public static void Run(Args args)
    {
        float x = args.X;
        Float4 a = new(x), b = new(x);
        // Eight turns for one step of the loop, which would take a third of the time.
        for (int turn = 0; turn < args.Turns; turn += 8)
        {
            (a, b) = (Turn(Turn(a, x), x), Turn(Turn(b, x), x));
            (a, b) = (Turn(Turn(a, x), x), Turn(Turn(b, x), x));
            (a, b) = (Turn(Turn(a, x), x), Turn(Turn(b, x), x));
            (a, b) = (Turn(Turn(a, x), x), Turn(Turn(b, x), x));
        }

        // Never: but the compiler does not know.
        if (Float4.Dot(a, b, x) > 1)
            args.Y[0] = a.X;
    }

    private static Float4 Turn(Float4 a, float x) => new(Ptx.Fma(a.X, x, x), Ptx.Fma(a.Y, x, x), Ptx.Fma(a.Z, x, x), Ptx.Fma(a.W, x, x));

    internal struct Args
    {
        public ArrayView<float> Y;
        public float X;
        public int Turns;
    }
}
