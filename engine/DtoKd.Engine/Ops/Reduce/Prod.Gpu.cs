using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The gradient of a product: a thread for each line, as on the CPU.</summary>
internal static class ProdGpu
{
    /// <summary>dx = dy times the product of the line's other elements.</summary>
    public static void Backward(Tensor x, Tensor dy, Tensor dx, ReductionPlan plan)
    {
        var lines = new Lines(plan.Outer, plan.Reduced, plan.Inner);
        GridStride.Launch<ProductOfOthers, ProductOfOthers.Args>((GpuDevice)dx.Device, lines.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Dy = GpuDevice.View<float>(dy),
            Dx = GpuDevice.View<float>(dx),
            Lines = lines,
        });
    }
}

internal readonly struct ProductOfOthers : IKernel<ProductOfOthers.Args>
{
    public static void Run(Args args)
    {
        for (int line = GridStride.First; line < args.Lines.Count; line += GridStride.Step)
        {
            int at = args.Lines.First(line);
            float before = args.Dy[line], after = 1;
            for (int r = 0; r < args.Lines.Length; r++, at += args.Lines.Inner)
            {
                args.Dx[at] = before;
                before *= args.X[at];
            }

            for (int r = 0; r < args.Lines.Length; r++)
            {
                at -= args.Lines.Inner;
                args.Dx[at] *= after;
                after *= args.X[at];
            }
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Dy, Dx;
        public Lines Lines;
    }
}
