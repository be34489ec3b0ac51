using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A thread for each line, one element after the other as on the CPU.</summary>
internal static class ScanGpu
{
    /// <summary>y = the scan of x and seed.</summary>
    public static void Run<TScan>(Tensor x, Tensor seed, Tensor y, ReductionPlan plan)
        where TScan : struct, IScan
    {
        var lines = new Lines(plan.Outer, plan.Reduced, plan.Inner);
        GridStride.Launch<ScanLines<TScan>, ScanArgs>((GpuDevice)y.Device, lines.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Seed = GpuDevice.View<float>(seed),
            Y = GpuDevice.View<float>(y),
            Lines = lines,
        });
    }
}

internal struct ScanArgs
{
    public ArrayView<float> X, Seed, Y;
    public Lines Lines;
}

internal readonly struct ScanLines<TScan> : IKernel<ScanArgs>
    where TScan : struct, IScan
{
    public static void Run(ScanArgs args)
    {
        for (int line = GridStride.First; line < args.Lines.Count; line += GridStride.Step)
        {
            double state = TScan.Start;
            int at = args.Lines.First(line), step = args.Lines.Inner;
            if (TScan.IsFromEnd)
            {
                at += (args.Lines.Length - 1) * step;
                step = -step;
            }

            for (int r = 0; r < args.Lines.Length; r++, at += step)
                args.Y[at] = (float)TScan.Next(ref state, args.X[at], args.Seed[at]);
        }
    }
}
