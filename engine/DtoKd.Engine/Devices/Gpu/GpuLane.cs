using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>One float of a kernel's thread. Masks are 1 and 0. The elementary functions are those of the CPU's vectors.</summary>
internal readonly unsafe struct GpuLane(float value) : IFloatLane<GpuLane>
{
    public readonly float Value = value;

    public static int Width => 1;

    public static GpuLane Of(double value) => new((float)value);

    public static GpuLane Broadcast(float value) => new(value);

    public static GpuLane operator +(GpuLane a, GpuLane b) => new(a.Value + b.Value);

    public static GpuLane operator -(GpuLane a, GpuLane b) => new(a.Value - b.Value);

    public static GpuLane operator *(GpuLane a, GpuLane b) => new(a.Value * b.Value);

    public static GpuLane operator /(GpuLane a, GpuLane b) => new(a.Value / b.Value);

    public static GpuLane operator -(GpuLane a) => new(-a.Value);

    public static GpuLane MultiplyAdd(GpuLane a, GpuLane b, GpuLane c) => new(Ptx.Fma(a.Value, b.Value, c.Value));

    public static GpuLane Abs(GpuLane x) => new(Ptx.Abs(x.Value));

    public static GpuLane Sqrt(GpuLane x) => new(Ptx.Sqrt(x.Value));

    public static GpuLane Max(GpuLane a, GpuLane b) => new(Ptx.Max(a.Value, b.Value));

    public static GpuLane Min(GpuLane a, GpuLane b) => new(Ptx.Min(a.Value, b.Value));

    public static GpuLane Less(GpuLane a, GpuLane b) => new(a.Value < b.Value ? 1f : 0f);

    public static GpuLane Equal(GpuLane a, GpuLane b) => new(a.Value == b.Value ? 1f : 0f);

    public static GpuLane Select(GpuLane mask, GpuLane yes, GpuLane no) => new(mask.Value != 0 ? yes.Value : no.Value);

    public static GpuLane Round(GpuLane x) => new(Ptx.Round(x.Value));

    public static GpuLane Exp(GpuLane x) => LaneMath.Exp(x);

    public static GpuLane Expm1(GpuLane x) => LaneMath.Expm1(x);

    public static GpuLane Log(GpuLane x) => LaneMath.Log(x);

    public static GpuLane Log1p(GpuLane x) => LaneMath.Log1p(x);

    public static GpuLane Tanh(GpuLane x) => LaneMath.Tanh(x);

    public static GpuLane Erf(GpuLane x) => LaneMath.Erf(x);

    public static GpuLane Phi(GpuLane x, out GpuLane bell) => LaneMath.Phi(x, out bell);

    public static GpuLane Sin(GpuLane x) => LaneMath.Sin(x);

    public static GpuLane Cos(GpuLane x) => LaneMath.Cos(x);

    public static GpuLane Atan(GpuLane x) => LaneMath.Atan(x);

    public static GpuLane Load(float* source) => new(*source);

    public static void Store(GpuLane value, float* target) => *target = value.Value;

    // A part of a lane of one float is empty.
    public static GpuLane LoadPart(float* source, long count, float fill) => new(fill);

    public static void StorePart(GpuLane value, float* target, long count)
    {
    }

    public static GpuLane Larger(GpuLane a, GpuLane b) => new(a.Value < b.Value ? b.Value : a.Value);

    public static GpuLane PowerOfTwo(GpuLane n) => new(Interop.IntAsFloat((uint)((int)n.Value + 127) << 23));

    public static GpuLane Mantissa(GpuLane x, out GpuLane exponent)
    {
        uint bits = Interop.FloatAsInt(x.Value);
        exponent = new((int)(bits >> 23) - 127);
        return new(Interop.IntAsFloat((bits & 0x007FFFFF) | 0x3F800000));
    }

    public static float Sum(GpuLane x) => x.Value;

    public static float Largest(GpuLane x) => x.Value;
}
