using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>Sixteen floats.</summary>
internal unsafe struct Lane512(Vector512<float> value) : IFloatLane<Lane512>
{
    private Vector512<float> _value = value;

    public readonly Vector512<float> Value => _value;

    public static int Width => Vector512<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Of(double value) => new(Vector512.Create((float)value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator +(Lane512 a, Lane512 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator -(Lane512 a, Lane512 b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator *(Lane512 a, Lane512 b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator /(Lane512 a, Lane512 b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 operator -(Lane512 a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 MultiplyAdd(Lane512 a, Lane512 b, Lane512 c) => new(Vector512.FusedMultiplyAdd(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddProduct(ref Lane512 sum, Lane512 a, Lane512 b) =>
        sum._value = Vector512.FusedMultiplyAdd(a._value, b._value, sum._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddProduct(ref Lane512 sum, Lane512 a, float* b) =>
        sum._value = Vector512.FusedMultiplyAdd(a._value, Vector512.Load(b), sum._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Abs(Lane512 x) => new(Vector512.Abs(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Sqrt(Lane512 x) => new(Vector512.Sqrt(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Max(Lane512 a, Lane512 b) => new(Vector512.Max(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Min(Lane512 a, Lane512 b) => new(Vector512.Min(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Less(Lane512 a, Lane512 b) => new(Vector512.LessThan(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Equal(Lane512 a, Lane512 b) => new(Vector512.Equals(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Select(Lane512 mask, Lane512 yes, Lane512 no) => new(Vector512.ConditionalSelect(mask._value, yes._value, no._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Exp(Lane512 x) => LaneMath.Exp(x);

    public static Lane512 Expm1(Lane512 x) => LaneMath.Expm1(x);

    public static Lane512 Log(Lane512 x) => LaneMath.Log(x);

    public static Lane512 Log1p(Lane512 x) => LaneMath.Log1p(x);

    public static Lane512 Tanh(Lane512 x) => LaneMath.Tanh(x);

    public static Lane512 Erf(Lane512 x) => LaneMath.Erf(x);

    public static Lane512 Phi(Lane512 x, out Lane512 bell) => LaneMath.Phi(x, out bell);

    public static Lane512 Sin(Lane512 x) => LaneMath.Sin(x);

    public static Lane512 Cos(Lane512 x) => LaneMath.Cos(x);

    public static Lane512 Atan(Lane512 x) => LaneMath.Atan(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lane512 value, float* target) => Vector512.Store(value._value, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePast(Lane512 value, float* target) => Vector512.StoreAlignedNonTemporal(value._value, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 LoadPart(float* source, long count, float fill) => Avx512F.IsSupported
        ? new(Avx512F.MaskLoad(source, First(count), Vector512.Create(fill)))
        : LaneParts.Load<Lane512>(source, count, fill);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePart(Lane512 value, float* target, long count)
    {
        if (Avx512F.IsSupported)
            Avx512F.MaskStore(target, First(count), value._value);
        else
            LaneParts.Store(value, target, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Larger(Lane512 a, Lane512 b) => new(Vector512.MaxNative(b._value, a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Round(Lane512 x) => new(Vector512.Round(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 PowerOfTwo(Lane512 n)
    {
        var exponent = Vector512.ConvertToInt32Native(n._value) + Vector512.Create(127);
        return new(Vector512.ShiftLeft(exponent, 23).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane512 Mantissa(Lane512 x, out Lane512 exponent)
    {
        var bits = x._value.AsInt32();
        exponent = new(Vector512.ConvertToSingle(Vector512.ShiftRightLogical(bits, 23) - Vector512.Create(127)));
        return new(((bits & Vector512.Create(0x007FFFFF)) | Vector512.Create(0x3F800000)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lane512 x) => Lane256.Sum(new(x._value.GetLower() + x._value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Lane512 x) => Lane256.Largest(new(Vector256.Max(x._value.GetLower(), x._value.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> First(long count) =>
        Vector512.LessThan(Vector512<int>.Indices, Vector512.Create((int)count)).AsSingle();
}
