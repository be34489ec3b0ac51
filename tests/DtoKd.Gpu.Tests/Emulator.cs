using DtoKd.Engine.Gpu;

// One emulated device for all: its kernels are made once, and it runs one launch at a time.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace DtoKd.Gpu.Tests;

internal static class Emulator
{
    private static readonly Lazy<GpuDevice> _device = new(() => GpuDevice.Emulated());

    public static GpuDevice Device => _device.Value;
}
