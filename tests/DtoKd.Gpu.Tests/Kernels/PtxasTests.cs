using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using DtoKd.Tests;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>NVIDIA's assembler, where it is on the path, says how many registers a kernel takes and whether it spills.</summary>
public sealed partial class PtxasTests(PtxTests.Compiler compiler) : IClassFixture<PtxTests.Compiler>
{
    // Of a processor of SM 9.0. It is to have room for two groups, but where shared memory has room for one only.
    private const int Registers = 65_536;
    private const int SharedBytes = 227 << 10;

    private static readonly string? _ptxas = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, "ptxas")).FirstOrDefault(File.Exists);

    public static TheoryData<string> Kernels => PtxTests.Kernels;

    [Theory]
    [MemberData(nameof(Kernels))]
    public void No_kernel_spills_registers(string kernel)
    {
        Assert.SkipWhen(_ptxas is null, "there is no ptxas on the path: Debian's nvidia-cuda-toolkit has it");
        using var folder = new TemporaryFolder();
        string source = folder["kernel.ptx"];
        File.WriteAllText(source, compiler.Ptx(kernel, CudaArchitecture.SM_90));
        using var process = Process.Start(new ProcessStartInfo(_ptxas!)
        {
            ArgumentList = { "-v", "-arch=sm_90", source, "-o", folder["kernel.cubin"] },
            RedirectStandardError = true,
        })!;
        string report = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, report);
        Assert.Contains("0 bytes spill stores, 0 bytes spill loads", report, StringComparison.Ordinal);
        int registers = int.Parse(Used().Match(report).Groups[1].Value, CultureInfo.InvariantCulture);
        var (threads, shared) = KernelCatalog.LaunchOf(kernel);
        int most = Registers / threads / (2 * shared > SharedBytes ? 1 : 2);
        Assert.True(registers <= most, $"{registers} registers, at most {most} in groups of {threads} threads");
    }

    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex Used();
}
