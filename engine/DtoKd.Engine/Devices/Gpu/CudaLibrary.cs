using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Finds the driver's library. ILGPU asks for <c>cuda</c>, which .NET looks for as libcuda.so; a machine with nothing but the
/// driver has libcuda.so.1 only.
/// </summary>
internal static partial class CudaLibrary
{
    private static readonly Lock _lock = new();
    private static readonly Lazy<nint> _library = new(() => TryLoad(typeof(ILGPU.Context).Assembly, null, out nint library)
        ? library
        : throw new NotSupportedException("there is no NVIDIA driver"));

    private static bool _resolves;

    /// <summary>Makes ILGPU find the library. Needed before its first context.</summary>
    public static void Resolve()
    {
        lock (_lock)
        {
            if (_resolves)
                return;
            // For ILGPU's calls and for the ones below.
            foreach (var caller in new[] { typeof(ILGPU.Context).Assembly, typeof(CudaLibrary).Assembly })
            {
                NativeLibrary.SetDllImportResolver(caller, (name, assembly, path) =>
                    name == "cuda" && TryLoad(assembly, path, out nint library) ? library : 0);
            }

            _resolves = true;
        }
    }

    /// <summary>Makes what a stream is given from now on wait for an event: a call that ILGPU does not have.</summary>
    [LibraryImport("cuda", EntryPoint = "cuStreamWaitEvent")]
    public static partial CudaError StreamWaitEvent(nint stream, nint mark, uint flags);

    /// <summary>Whether the library is there.</summary>
    public static bool IsPresent()
    {
        if (!TryLoad(typeof(ILGPU.Context).Assembly, null, out nint library))
            return false;
        NativeLibrary.Free(library);
        return true;
    }

    /// <summary>Lets a kernel have more shared memory than the 48 KiB that every kernel may.</summary>
    /// <exception cref="NotSupportedException">The device has not as much.</exception>
    public static unsafe void AllowShared(nint function, int bytes)
    {
        // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        const int MaxDynamicShared = 8;
        var set = (delegate* unmanaged<nint, int, int, int>)NativeLibrary.GetExport(_library.Value, "cuFuncSetAttribute");
        int error = set(function, MaxDynamicShared, bytes);
        if (error != 0)
            throw new NotSupportedException($"the driver gives a group no {bytes:N0} bytes of shared memory: error {error}");
    }

    /// <summary>The most shared memory, in bytes, that a group of a device may be allowed.</summary>
    public static unsafe int MostShared(int device)
    {
        // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        const int MostOptIn = 97;
        var get = (delegate* unmanaged<int*, int, int, int>)NativeLibrary.GetExport(_library.Value, "cuDeviceGetAttribute");
        int bytes;
        int error = get(&bytes, MostOptIn, device);
        return error == 0 ? bytes : throw new NotSupportedException($"the driver does not say how much shared memory there is: error {error}");
    }

    private static bool TryLoad(Assembly assembly, DllImportSearchPath? path, out nint library) =>
        NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda" : "libcuda.so.1", assembly, path, out library)
        || NativeLibrary.TryLoad("cuda", assembly, path, out library);
}
