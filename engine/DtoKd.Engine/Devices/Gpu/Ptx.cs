using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.IR.Intrinsics;

namespace DtoKd.Engine.Gpu;

/// <summary>Four floats that are loaded and stored as one.</summary>
internal struct Float4
{
    public float X, Y, Z, W;
}

/// <summary>
/// Single instructions of PTX. On a CUDA device a call is that instruction, on the emulator the method's own body runs.
/// </summary>
/// <remarks>
/// A new one needs its method and nothing else. Of a body that works across the threads of a warp, <see cref="Warp"/> is the
/// means. Instructions with addresses are not moved across other calls of this class, but arithmetic is.
/// </remarks>
internal static class Ptx
{
    /// <summary>a b + c with one rounding.</summary>
    [Ptx("fma.rn.f32"), IntrinsicImplementation]
    public static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>The square root, correctly rounded.</summary>
    [Ptx("sqrt.rn.f32"), IntrinsicImplementation]
    public static float Sqrt(float x) => MathF.Sqrt(x);

    /// <summary>1 / sqrt(x), within 2^-22.9 relative.</summary>
    [Ptx("rsqrt.approx.f32"), IntrinsicImplementation]
    public static float Rsqrt(float x) => 1 / MathF.Sqrt(x);

    /// <summary>2^x, within 2^-22.5 relative.</summary>
    [Ptx("ex2.approx.f32"), IntrinsicImplementation]
    public static float Exp2(float x) => MathF.Pow(2, x);

    /// <summary>To the nearest whole number, ties to even.</summary>
    [Ptx("cvt.rni.f32.f32"), IntrinsicImplementation]
    public static float Round(float x) => MathF.Round(x);

    /// <summary>The magnitude.</summary>
    [Ptx("abs.f32"), IntrinsicImplementation]
    public static float Abs(float x) => MathF.Abs(x);

    /// <summary>The larger one; NaN if either is.</summary>
    [Ptx("max.NaN.f32"), IntrinsicImplementation]
    public static float Max(float a, float b) => MathF.Max(a, b);

    /// <summary>The smaller one; NaN if either is.</summary>
    [Ptx("min.NaN.f32"), IntrinsicImplementation]
    public static float Min(float a, float b) => MathF.Min(a, b);

    /// <summary>Four neighbours at a multiple of 16 bytes in global memory that no kernel writes while this one runs.</summary>
    [Ptx("ld.global.nc.v4.f32"), IntrinsicImplementation]
    public static Float4 LoadReadOnly4(ref float source) => Unsafe.As<float, Float4>(ref source);
}
