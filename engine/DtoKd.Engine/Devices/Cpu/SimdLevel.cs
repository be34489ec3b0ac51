using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>What a <see cref="CpuDevice"/> computes with.</summary>
public enum SimdLevel
{
    /// <summary>Whatever <see cref="System.Numerics.Vector{T}"/> offers on this machine.</summary>
    Portable,

    /// <summary>256-bit vectors with fused multiply-add.</summary>
    Avx2,

    /// <summary>512-bit vectors with fused multiply-add.</summary>
    Avx512,

    /// <summary>
    /// As <see cref="Avx512"/>, and large products take additions for a third of their multiply-adds: AMD's Zen 4 adds beside its
    /// multiply-adds (<see cref="PairedKernel{TReads}"/>).
    /// </summary>
    Zen4,

    /// <summary>As <see cref="Zen4"/>, to the byte, with loads that suit AMD's Zen 5.</summary>
    Zen5,
}

/// <summary>The vectors that a kernel is compiled for: which <see cref="IFloatLane{V}"/>.</summary>
internal enum LaneKind
{
    /// <summary><see cref="Cpu.LaneVector"/>.</summary>
    LaneVector,

    /// <summary><see cref="Cpu.Lane256"/>.</summary>
    Lane256,

    /// <summary><see cref="Cpu.Lane512"/>.</summary>
    Lane512,
}

/// <summary>Chooses the <see cref="SimdLevel"/> of the machine.</summary>
public static class Simd
{
    /// <summary>The environment variable that forces a level: <c>zen5</c>, <c>zen4</c>, <c>avx512</c>, <c>avx2</c> or <c>portable</c>.</summary>
    public const string Variable = "DTOKD_SIMD";

    /// <summary>
    /// The fastest level of this processor. A higher one still gives right results (the runtime emulates 512-bit vectors by two of
    /// 256 bits), only slowly; tests use that to check every path on every machine.
    /// </summary>
    public static SimdLevel Best =>
        Avx512F.IsSupported && Vector512.IsHardwareAccelerated ? BestOf512
        : Avx2.IsSupported && Fma.IsSupported ? SimdLevel.Avx2
        : SimdLevel.Portable;

    private static SimdLevel BestOf512
    {
        get
        {
            // AMD's families; the other member of Zen 4's, Zen 3, has no AVX-512.
            const int Zen4 = 0x19, Zen5 = 0x1A;
            var (_, b, c, d) = X86Base.CpuId(0, 0);
            if ((b, d, c) != (0x68747541, 0x69746E65, 0x444D4163) /* AuthenticAMD */)
                return SimdLevel.Avx512;
            int signature = X86Base.CpuId(1, 0).Eax;
            return (((signature >> 8) & 0xF) + ((signature >> 20) & 0xFF)) switch
            {
                Zen4 => SimdLevel.Zen4,
                Zen5 => SimdLevel.Zen5,
                _ => SimdLevel.Avx512,
            };
        }
    }

    /// <summary>The level named by <see cref="Variable"/>, or <see cref="Best"/>.</summary>
    /// <exception cref="ArgumentException">The variable names no level.</exception>
    public static SimdLevel Default =>
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } name ? Parse(name) : Best;

    /// <summary>Reads a level's name, in any case.</summary>
    /// <exception cref="ArgumentException">The name is unknown.</exception>
    public static SimdLevel Parse(string name) => name.ToLowerInvariant() switch
    {
        "zen5" => SimdLevel.Zen5,
        "zen4" => SimdLevel.Zen4,
        "avx512" => SimdLevel.Avx512,
        "avx2" => SimdLevel.Avx2,
        "portable" => SimdLevel.Portable,
        _ => throw new ArgumentException($"unknown SIMD level '{name}': use zen5, zen4, avx512, avx2 or portable"),
    };
}
