using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>The vector width that a <see cref="CpuDevice"/> computes with.</summary>
public enum SimdLevel
{
    /// <summary>Whatever <see cref="System.Numerics.Vector{T}"/> offers on this machine.</summary>
    Portable,

    /// <summary>256-bit vectors with fused multiply-add.</summary>
    Avx2,

    /// <summary>512-bit vectors with fused multiply-add.</summary>
    Avx512,
}

/// <summary>Chooses the <see cref="SimdLevel"/> of the machine.</summary>
public static class Simd
{
    /// <summary>The environment variable that forces a level: <c>avx512</c>, <c>avx2</c> or <c>portable</c>.</summary>
    public const string Variable = "DTOKD_SIMD";

    /// <summary>
    /// The widest level that the processor executes natively. A wider level still gives right results (the runtime emulates
    /// 512-bit vectors by two of 256 bits), only slowly; tests use that to check every path on every machine.
    /// </summary>
    public static SimdLevel Widest =>
        Avx512F.IsSupported && Vector512.IsHardwareAccelerated ? SimdLevel.Avx512
        : Avx2.IsSupported && Fma.IsSupported ? SimdLevel.Avx2
        : SimdLevel.Portable;

    /// <summary>The level named by <see cref="Variable"/>, or <see cref="Widest"/>.</summary>
    /// <exception cref="ArgumentException">The variable names no level.</exception>
    public static SimdLevel Default =>
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } name ? Parse(name) : Widest;

    /// <summary>Reads a level's name, in any case.</summary>
    /// <exception cref="ArgumentException">The name is unknown.</exception>
    public static SimdLevel Parse(string name) => name.ToLowerInvariant() switch
    {
        "avx512" => SimdLevel.Avx512,
        "avx2" => SimdLevel.Avx2,
        "portable" => SimdLevel.Portable,
        _ => throw new ArgumentException($"unknown SIMD level '{name}': use avx512, avx2 or portable"),
    };
}
