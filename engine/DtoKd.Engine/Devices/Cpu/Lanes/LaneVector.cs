using System.Numerics;
using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>As many floats as <see cref="Vector{T}"/> holds on this machine.</summary>
internal readonly unsafe struct LaneVector(Vector<float> value) : IFloatLane<LaneVector>
{
    private readonly Vector<float> _value = value;

    public static int Width => Vector<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Of(double value) => new(Vector.Create((float)value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector operator +(LaneVector a, LaneVector b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector operator -(LaneVector a, LaneVector b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector operator *(LaneVector a, LaneVector b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector operator /(LaneVector a, LaneVector b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector operator -(LaneVector a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector MultiplyAdd(LaneVector a, LaneVector b, LaneVector c) => new(Vector.FusedMultiplyAdd(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Abs(LaneVector x) => new(Vector.Abs(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Sqrt(LaneVector x) => new(Vector.SquareRoot(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Max(LaneVector a, LaneVector b) => new(Vector.Max(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Min(LaneVector a, LaneVector b) => new(Vector.Min(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Less(LaneVector a, LaneVector b) => new(Vector.LessThan(a._value, b._value).As<int, float>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Equal(LaneVector a, LaneVector b) => new(Vector.Equals(a._value, b._value).As<int, float>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Select(LaneVector mask, LaneVector yes, LaneVector no) => new(Vector.ConditionalSelect(mask._value.As<float, int>(), yes._value, no._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Exp(LaneVector x) => LaneMath.Exp(x);

    public static LaneVector Expm1(LaneVector x) => LaneMath.Expm1(x);

    public static LaneVector Log(LaneVector x) => LaneMath.Log(x);

    public static LaneVector Log1p(LaneVector x) => LaneMath.Log1p(x);

    public static LaneVector Tanh(LaneVector x) => LaneMath.Tanh(x);

    public static LaneVector Erf(LaneVector x) => LaneMath.Erf(x);

    public static LaneVector Phi(LaneVector x, out LaneVector bell) => LaneMath.Phi(x, out bell);

    public static LaneVector Sin(LaneVector x) => LaneMath.Sin(x);

    public static LaneVector Cos(LaneVector x) => LaneMath.Cos(x);

    public static LaneVector Atan(LaneVector x) => LaneMath.Atan(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Broadcast(float value) => new(Vector.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Load(float* source) => new(Vector.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(LaneVector value, float* target) => Vector.Store(value._value, target);

    public static LaneVector LoadPart(float* source, long count, float fill) => LaneParts.Load<LaneVector>(source, count, fill);

    public static void StorePart(LaneVector value, float* target, long count) => LaneParts.Store(value, target, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Larger(LaneVector a, LaneVector b) => new(Vector.MaxNative(b._value, a._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Round(LaneVector x) => new(Vector.Round(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector PowerOfTwo(LaneVector n)
    {
        var exponent = Vector.ConvertToInt32Native(n._value) + Vector.Create(127);
        return new(Vector.ShiftLeft(exponent, 23).As<int, float>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LaneVector Mantissa(LaneVector x, out LaneVector exponent)
    {
        var bits = x._value.As<float, int>();
        exponent = new(Vector.ConvertToSingle(Vector.ShiftRightLogical(bits, 23) - Vector.Create(127)));
        return new(((bits & Vector.Create(0x007FFFFF)) | Vector.Create(0x3F800000)).As<int, float>());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(LaneVector x) => Vector.Sum(x._value);

    public static float Largest(LaneVector x)
    {
        float largest = x._value[0];
        for (int i = 1; i < Vector<float>.Count; i++)
            largest = MathF.Max(largest, x._value[i]);
        return largest;
    }
}
