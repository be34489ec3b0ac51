using ILGPU;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>ILGPU's contexts, all set up alike: O2, which knows the address space of a pointer, and our own instructions.</summary>
internal static class GpuContext
{
    /// <summary>A context that sees the CUDA devices, in the driver's order.</summary>
    public static Context ForCuda()
    {
        CudaLibrary.Resolve();
        return Context.Create(builder => Common(builder).Cuda(_ => true));
    }

    /// <summary>A context over ILGPU's emulator, for tests and for compiling without a device.</summary>
    /// <param name="warps">The largest group, in warps of 32.</param>
    public static Context ForEmulator(int warps) =>
        Context.Create(builder => Common(builder).CPU(new CPUDevice(32, warps, 1)));

    private static Context.Builder Common(Context.Builder builder)
    {
        builder.Optimize(OptimizationLevel.O2);
        PtxEmitter.Register(builder);
        return builder;
    }
}
