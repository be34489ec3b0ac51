using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.IR.Intrinsics;

namespace DtoKd.Engine.Gpu;

/// <summary>Four floats that are loaded and stored as one.</summary>
internal struct Float4(float x, float y, float z, float w)
{
    public float X = x, Y = y, Z = z, W = w;

    public Float4(float all)
        : this(all, all, all, all)
    {
    }

    public static Float4 operator +(Float4 a, Float4 b) => new(a.X + b.X, a.Y + b.Y, a.Z + b.Z, a.W + b.W);

    public static Float4 operator -(Float4 a, Float4 b) => new(a.X - b.X, a.Y - b.Y, a.Z - b.Z, a.W - b.W);

    public static Float4 operator *(Float4 a, float b) => new(a.X * b, a.Y * b, a.Z * b, a.W * b);

    public static Float4 operator *(Float4 a, Float4 b) => new(a.X * b.X, a.Y * b.Y, a.Z * b.Z, a.W * b.W);

    /// <summary>a b + sum.</summary>
    public static Float4 MultiplyAdd(float a, Float4 b, Float4 sum) =>
        new(Ptx.Fma(a, b.X, sum.X), Ptx.Fma(a, b.Y, sum.Y), Ptx.Fma(a, b.Z, sum.Z), Ptx.Fma(a, b.W, sum.W));

    /// <summary>sum + the dot product of a and b.</summary>
    public static float Dot(Float4 a, Float4 b, float sum) =>
        Ptx.Fma(a.W, b.W, Ptx.Fma(a.Z, b.Z, Ptx.Fma(a.Y, b.Y, Ptx.Fma(a.X, b.X, sum))));
}

/// <summary>Two floats that are loaded and stored as one.</summary>
internal struct Float2(float x, float y)
{
    public float X = x, Y = y;

    public static Float2 operator +(Float2 a, Float2 b) => new(a.X + b.X, a.Y + b.Y);
}

/// <summary>
/// Single instructions of PTX. On a CUDA device a call is that instruction, on the emulator the method's own body runs.
/// </summary>
/// <remarks>
/// A new one needs its method and nothing else. Of a body that works across the threads of a warp, <see cref="Warp"/> is the
/// means. Instructions with addresses are not moved across other calls of this class, but arithmetic is.
/// </remarks>
internal static unsafe partial class Ptx
{
    /// <summary>a b + c with one rounding.</summary>
    [Ptx("fma.rn.f32"), IntrinsicImplementation]
    public static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>The square root, correctly rounded.</summary>
    [Ptx("sqrt.rn.f32"), IntrinsicImplementation]
    public static float Sqrt(float x) => MathF.Sqrt(x);

    /// <summary>The square root, correctly rounded.</summary>
    [Ptx("sqrt.rn.f64"), IntrinsicImplementation]
    public static double Sqrt(double x) => Math.Sqrt(x);

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
    public static Float4 LoadReadOnly4(ref float source) => Unsafe.As<float, Float4>(ref Vector(ref source, 0, sizeof(Float4)));

    /// <summary>The number itself, computed here: it is not computed anew wherever it is used, as in the middle of a loop.</summary>
    [Ptx("mov.b32"), IntrinsicImplementation]
    public static int Keep(int value) => value;

    /// <summary>Four neighbours at a multiple of 16 bytes in shared memory.</summary>
    [Ptx("ld.shared.v4.f32"), IntrinsicImplementation]
    public static Float4 LoadShared4([Shared] ref float source, [Offset] int bytes) =>
        Unsafe.As<float, Float4>(ref Vector(ref source, bytes, sizeof(Float4)));

    /// <summary>A word of shared memory.</summary>
    [Ptx("ld.shared.b32"), IntrinsicImplementation]
    public static uint LoadShared([Shared] ref float source, [Offset] int bytes) =>
        BitConverter.SingleToUInt32Bits(Unsafe.AddByteOffset(ref source, bytes));

    /// <summary>Two neighbours at a multiple of 8 bytes in shared memory.</summary>
    [Ptx("ld.shared.v2.f32"), IntrinsicImplementation]
    public static Float2 LoadShared2([Shared] ref float source, [Offset] int bytes) =>
        Unsafe.As<float, Float2>(ref Vector(ref source, bytes, sizeof(Float2)));

    /// <summary>Stores four neighbours at a multiple of 16 bytes in shared memory.</summary>
    [Ptx("st.shared.v4.f32"), IntrinsicImplementation]
    public static void StoreShared4([Shared] ref float target, [Offset] int bytes, Float4 four) =>
        Unsafe.As<float, Float4>(ref Vector(ref target, bytes, sizeof(Float4))) = four;

    /// <summary>Stores two neighbours at a multiple of 8 bytes in shared memory.</summary>
    [Ptx("st.shared.v2.f32"), IntrinsicImplementation]
    public static void StoreShared2([Shared] ref float target, [Offset] int bytes, Float2 pair) =>
        Unsafe.As<float, Float2>(ref Vector(ref target, bytes, sizeof(Float2))) = pair;

    /// <summary>Where a vector begins. A card stops if that is not a multiple of its size; the emulator's processor would read on.</summary>
    private static ref float Vector(ref float first, int bytes, int size)
    {
        ref float vector = ref Unsafe.AddByteOffset(ref first, bytes);
        long beyond = (nint)Unsafe.AsPointer(ref vector) % size;
        if (beyond != 0)
            throw new InvalidOperationException($"a vector of {size} bytes begins {beyond} bytes behind a multiple of its size");
        return ref vector;
    }
}
