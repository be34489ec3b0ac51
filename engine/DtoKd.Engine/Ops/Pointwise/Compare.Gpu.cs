using System.Numerics;
using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>y = test(a, b) as bytes 1 and 0, with any strides.</summary>
internal readonly struct CompareKernel<T, TTest> : IKernel<CompareKernel<T, TTest>.Args>
    where T : unmanaged, INumber<T>
    where TTest : struct, Op.ITest
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            var at = args.Walk.At(i);
            args.Y[at.A] = (byte)(TTest.Of(args.A[at.B], args.B[at.C]) ? 1 : 0);
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(StridedLoop loop, Tensor a, Tensor b, Tensor y) =>
        GridStride.Launch<CompareKernel<T, TTest>, Args>((GpuDevice)y.Device, y.Count, new()
        {
            A = GpuDevice.View<T>(a),
            B = GpuDevice.View<T>(b),
            Y = GpuDevice.View<byte>(y),
            Walk = new Walk(loop),
        });

    internal struct Args
    {
        public ArrayView<T> A, B;
        public ArrayView<byte> Y;
        public Walk Walk;
    }
}
