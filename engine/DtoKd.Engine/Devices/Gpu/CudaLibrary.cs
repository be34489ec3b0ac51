using System.Reflection;
using System.Runtime.InteropServices;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Finds the driver's library. ILGPU asks for <c>cuda</c>, which .NET looks for as libcuda.so; a machine with nothing but the
/// driver has libcuda.so.1 only.
/// </summary>
internal static class CudaLibrary
{
    private static readonly Lock _lock = new();
    private static bool _resolves;

    /// <summary>Makes ILGPU find the library. Needed before its first context.</summary>
    public static void Resolve()
    {
        lock (_lock)
        {
            if (_resolves)
                return;
            NativeLibrary.SetDllImportResolver(typeof(ILGPU.Context).Assembly, (name, assembly, path) =>
                name == "cuda" && TryLoad(assembly, path, out nint library) ? library : 0);
            _resolves = true;
        }
    }

    /// <summary>Whether the library is there.</summary>
    public static bool IsPresent()
    {
        if (!TryLoad(typeof(ILGPU.Context).Assembly, null, out nint library))
            return false;
        NativeLibrary.Free(library);
        return true;
    }

    private static bool TryLoad(Assembly assembly, DllImportSearchPath? path, out nint library) =>
        NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda" : "libcuda.so.1", assembly, path, out library)
        || NativeLibrary.TryLoad("cuda", assembly, path, out library);
}
