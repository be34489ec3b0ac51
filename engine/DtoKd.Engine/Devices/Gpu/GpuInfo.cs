using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>A CUDA device as a user sees it.</summary>
/// <param name="Index">Its number, as in <c>cuda:0</c>.</param>
/// <param name="Name">The driver's name for it.</param>
/// <param name="MemoryBytes">Its memory.</param>
/// <param name="Capability">Its compute capability, such as 9.0.</param>
/// <param name="Driver">The CUDA version of the driver.</param>
/// <param name="Problem">Why it cannot be used, in one line; null if it can.</param>
public sealed record GpuInfo(int Index, string Name, long MemoryBytes, string Capability, string Driver, string? Problem)
{
    // Tensor cores of TF32 and bf16, asynchronous copies: what the kernels are written for.
    private const int LeastMajor = 8;

    /// <summary>As <c>--device</c> takes it: <c>cuda:0</c>.</summary>
    public string DeviceName => $"cuda:{Index}";

    /// <summary>The CUDA devices of this machine.</summary>
    /// <param name="problem">Why there is none, in one line; null if there is one.</param>
    public static IReadOnlyList<GpuInfo> List(out string? problem)
    {
        if (!CudaLibrary.IsPresent())
        {
            problem = "libcuda.so.1 was not found: there is no NVIDIA driver";
            return [];
        }

        try
        {
            using var context = GpuContext.ForCuda();
            var list = new List<GpuInfo>();
            foreach (var device in context.GetCudaDevices())
                list.Add(Of(list.Count, device));
            problem = list.Count == 0 ? "the NVIDIA driver lists no device" : null;
            return list;
        }
        catch (Exception exception) when (exception is CudaException or DllNotFoundException or EntryPointNotFoundException
            or TypeInitializationException or NotSupportedException)
        {
            problem = $"the NVIDIA driver does not answer: {exception.GetBaseException().Message}";
            return [];
        }
    }

    private static GpuInfo Of(int index, CudaDevice device)
    {
        var architecture = device.Architecture;
        string capability = architecture is { } known ? $"{known.Major}.{known.Minor}" : "unknown";
        string? problem = architecture is null ? "its compute capability is not known"
            : architecture.Value.Major < LeastMajor ? $"compute capability {capability}; {LeastMajor}.0 or above is needed"
            : device.InstructionSet is null ? $"the driver {device.DriverVersion} is too old for it"
            : null;
        return new GpuInfo(index, device.Name, device.MemorySize, capability, device.DriverVersion.ToString(), problem);
    }
}
