using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// Linux maps memory in pages of 4 KiB, or of 2 MiB for programs that ask; a training step goes through hundreds of megabytes, and
/// every page costs a walk through the page tables.
/// </summary>
internal static partial class HugePages
{
    // MADV_HUGEPAGE of madvise(2).
    private const int UseHugePages = 14;

    /// <summary>Asks for huge pages for memory that has not been touched. Where there are none, nothing changes.</summary>
    public static void Request(nint address, long bytes)
    {
        if (!OperatingSystem.IsLinux())
            return;
        nint page = Environment.SystemPageSize, start = (address + page - 1) / page * page;
        long length = address + bytes - start;
        if (length > 0)
            _ = Advise(start, (nuint)length, UseHugePages);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
