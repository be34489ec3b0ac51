using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>y = a where the mask is set, b elsewhere, with any strides.</summary>
internal readonly struct WhereKernel<T> : IKernel<WhereKernel<T>.Args>
    where T : unmanaged
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Walk.Count; i += GridStride.Step)
        {
            var at = args.Walk.At(i);
            args.Y[at.A] = args.Mask[at.B] != 0 ? args.A[at.C] : args.B[at.D];
        }
    }

    /// <summary>Launches the kernel.</summary>
    public static void Launch(StridedLoop loop, Tensor mask, Tensor a, Tensor b, Tensor y) =>
        GridStride.Launch<WhereKernel<T>, Args>((GpuDevice)y.Device, y.Count, new()
        {
            Mask = GpuDevice.View<byte>(mask),
            A = GpuDevice.View<T>(a),
            B = GpuDevice.View<T>(b),
            Y = GpuDevice.View<T>(y),
            Walk = new Walk(loop),
        });

    internal struct Args
    {
        public ArrayView<byte> Mask;
        public ArrayView<T> A, B, Y;
        public Walk Walk;
    }
}
