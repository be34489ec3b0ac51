using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The pointwise formulas as kernels: one float for each thread and turn. Tensors whose axes merge into one are addressed by
/// the element's number, others by a <see cref="Walk"/>.
/// </summary>
internal static class PointwiseGpu
{
    /// <summary>As <see cref="Pointwise.Run"/>.</summary>
    public static void Run<TMap>(TMap map, StridedLoop loop, Tensor y, Tensor a, Tensor b, Tensor c)
        where TMap : struct, IMap
    {
        var device = (GpuDevice)y.Device;
        var views = (Y: GpuDevice.View<float>(y), A: GpuDevice.View<float>(a), B: GpuDevice.View<float>(b), C: GpuDevice.View<float>(c));
        if (Walk.IsFlat(loop, 0) && Walk.IsFlat(loop, 1) && Walk.IsFlat(loop, 2) && Walk.IsFlat(loop, 3))
        {
            GridStride.Launch<MapFlat<TMap>, MapFlat<TMap>.Args>(device, y.Count, new()
            {
                Y = views.Y,
                A = views.A,
                B = views.B,
                C = views.C,
                StepA = (int)loop.InnerStride(1),
                StepB = (int)loop.InnerStride(2),
                StepC = (int)loop.InnerStride(3),
                Count = checked((int)y.Count),
                Map = map,
            });
            return;
        }

        GridStride.Launch<MapStrided<TMap>, MapStrided<TMap>.Args>(
            device, y.Count, new() { Y = views.Y, A = views.A, B = views.B, C = views.C, Walk = new Walk(loop), Map = map });
    }

    /// <summary>y = formula(x) and its slope, all contiguous.</summary>
    public static void RunWithSlope<TFormula>(TFormula formula, Tensor x, Tensor y, Tensor slope)
        where TFormula : struct, IUnaryWithSlope =>
        GridStride.Launch<MapWithSlope<TFormula>, MapWithSlope<TFormula>.Args>((GpuDevice)y.Device, y.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Y = GpuDevice.View<float>(y),
            Slope = GpuDevice.View<float>(slope),
            Count = checked((int)y.Count),
            Formula = formula,
        });
}

/// <summary>y = formula(x) and its slope.</summary>
internal readonly struct MapWithSlope<TFormula> : IKernel<MapWithSlope<TFormula>.Args>
    where TFormula : struct, IUnaryWithSlope
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            args.Y[i] = args.Formula.ValueAndSlope(new GpuLane(args.X[i]), out var slope).Value;
            args.Slope[i] = slope.Value;
        }
    }

    internal struct Args
    {
        public ArrayView<float> X, Y, Slope;
        public int Count;
        public TFormula Formula;
    }
}

/// <summary>y = map(a, b, c), of which each is contiguous or one number.</summary>
internal readonly struct MapFlat<TMap> : IKernel<MapFlat<TMap>.Args>
    where TMap : struct, IMap
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            var a = new GpuLane(args.A[i * args.StepA]);
            var b = TMap.Arity > 1 ? new GpuLane(args.B[i * args.StepB]) : a;
            var c = TMap.Arity > 2 ? new GpuLane(args.C[i * args.StepC]) : a;
            args.Y[i] = args.Map.Map(a, b, c).Value;
        }
    }

    internal struct Args
    {
        public ArrayView<float> Y, A, B, C;
        public int StepA, StepB, StepC, Count;
        public TMap Map;
    }
}

/// <summary>y = map(a, b, c) with any strides.</summary>
internal readonly struct MapStrided<TMap> : IKernel<MapStrided<TMap>.Args>
    where TMap : struct, IMap
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            var at = args.Walk.At(i);
            var a = new GpuLane(args.A[at.B]);
            var b = TMap.Arity > 1 ? new GpuLane(args.B[at.C]) : a;
            var c = TMap.Arity > 2 ? new GpuLane(args.C[at.D]) : a;
            args.Y[at.A] = args.Map.Map(a, b, c).Value;
        }
    }

    internal struct Args
    {
        public ArrayView<float> Y, A, B, C;
        public Walk Walk;
        public TMap Map;
    }
}
