using DtoKd.Engine.Gpu;

// One device for all: its kernels are made once, and the emulator runs one launch at a time.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace DtoKd.Gpu.Tests;

/// <summary>What kernels are tested on: the emulator, or the first CUDA device if DTOKD_TEST_DEVICE is <c>cuda</c>.</summary>
internal static class TestDevice
{
    private static readonly Lazy<GpuDevice> _gpu = new(() => Environment.GetEnvironmentVariable("DTOKD_TEST_DEVICE") switch
    {
        null or "" => GpuDevice.Emulated(),
        "cuda" => GpuDevice.Cuda(),
        var other => throw new InvalidOperationException($"DTOKD_TEST_DEVICE is '{other}'; it has to be 'cuda', or nothing for the emulator"),
    });

    public static GpuDevice Gpu => _gpu.Value;
}
