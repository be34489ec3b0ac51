namespace DtoKd.Engine.Cpu;

/// <summary>One double: the lane of the reference. Masks are 1 and 0.</summary>
internal readonly struct LaneDouble(double value) : ILane<LaneDouble>
{
    public double Value { get; } = value;

    public static implicit operator LaneDouble(double value) => new(value);

    public static LaneDouble operator +(LaneDouble a, LaneDouble b) => a.Value + b.Value;

    public static LaneDouble operator -(LaneDouble a, LaneDouble b) => a.Value - b.Value;

    public static LaneDouble operator *(LaneDouble a, LaneDouble b) => a.Value * b.Value;

    public static LaneDouble operator /(LaneDouble a, LaneDouble b) => a.Value / b.Value;

    public static LaneDouble operator -(LaneDouble a) => -a.Value;

    public static LaneDouble Of(double value) => value;

    public static LaneDouble MultiplyAdd(LaneDouble a, LaneDouble b, LaneDouble c) => Math.FusedMultiplyAdd(a.Value, b.Value, c.Value);

    public static LaneDouble Abs(LaneDouble x) => Math.Abs(x.Value);

    public static LaneDouble Sqrt(LaneDouble x) => Math.Sqrt(x.Value);

    public static LaneDouble Max(LaneDouble a, LaneDouble b) => Math.Max(a.Value, b.Value);

    public static LaneDouble Min(LaneDouble a, LaneDouble b) => Math.Min(a.Value, b.Value);

    public static LaneDouble Less(LaneDouble a, LaneDouble b) => a.Value < b.Value ? 1 : 0;

    public static LaneDouble Equal(LaneDouble a, LaneDouble b) => a.Value == b.Value ? 1 : 0;

    public static LaneDouble Select(LaneDouble mask, LaneDouble yes, LaneDouble no) => mask.Value != 0 ? yes : no;

    public static LaneDouble Round(LaneDouble x) => Math.Round(x.Value);

    public static LaneDouble Exp(LaneDouble x) => Math.Exp(x.Value);

    public static LaneDouble Expm1(LaneDouble x) => LaneMath.Expm1(x.Value);

    public static LaneDouble Log(LaneDouble x) => Math.Log(x.Value);

    public static LaneDouble Log1p(LaneDouble x) => LaneMath.Log1p(x.Value);

    public static LaneDouble Tanh(LaneDouble x) => Math.Tanh(x.Value);

    public static LaneDouble Erf(LaneDouble x) => LaneMath.Erf(x.Value);

    public static LaneDouble Phi(LaneDouble x, out LaneDouble bell)
    {
        bell = Math.Exp(-0.5 * x.Value * x.Value);
        return 0.5 + (0.5 * LaneMath.Erf(x.Value / Math.Sqrt(2)));
    }

    public static LaneDouble Sin(LaneDouble x) => Math.Sin(x.Value);

    public static LaneDouble Cos(LaneDouble x) => Math.Cos(x.Value);

    public static LaneDouble Atan(LaneDouble x) => Math.Atan(x.Value);
}
