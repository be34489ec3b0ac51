using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops.Pointwise;

/// <summary>
/// A number and its derivative (v + d epsilon, epsilon^2 = 0): a formula's value over it carries the derivative that the
/// formula's slope must equal. Masks are 1 and 0; ties of Max and Min take the mean of the derivatives.
/// </summary>
internal readonly record struct DualLane(double Value, double Slope) : ILane<DualLane>
{
    public static DualLane Of(double value) => new(value, 0);

    public static DualLane operator +(DualLane a, DualLane b) => new(a.Value + b.Value, a.Slope + b.Slope);

    public static DualLane operator -(DualLane a, DualLane b) => new(a.Value - b.Value, a.Slope - b.Slope);

    public static DualLane operator *(DualLane a, DualLane b) =>
        new(a.Value * b.Value, (a.Slope * b.Value) + (a.Value * b.Slope));

    public static DualLane operator /(DualLane a, DualLane b) =>
        new(a.Value / b.Value, ((a.Slope * b.Value) - (a.Value * b.Slope)) / (b.Value * b.Value));

    public static DualLane operator -(DualLane a) => new(-a.Value, -a.Slope);

    public static DualLane MultiplyAdd(DualLane a, DualLane b, DualLane c) => (a * b) + c;

    public static DualLane Abs(DualLane x) => new(Math.Abs(x.Value), Math.Sign(x.Value) * x.Slope);

    public static DualLane Sqrt(DualLane x) => Chain(x, Math.Sqrt(x.Value), 0.5 / Math.Sqrt(x.Value));

    public static DualLane Max(DualLane a, DualLane b) =>
        a.Value == b.Value ? new(a.Value, (a.Slope + b.Slope) / 2) : a.Value > b.Value ? a : b;

    public static DualLane Min(DualLane a, DualLane b) => -Max(-a, -b);

    public static DualLane Less(DualLane a, DualLane b) => Of(a.Value < b.Value ? 1 : 0);

    public static DualLane Equal(DualLane a, DualLane b) => Of(a.Value == b.Value ? 1 : 0);

    public static DualLane Select(DualLane mask, DualLane yes, DualLane no) => mask.Value != 0 ? yes : no;

    public static DualLane Round(DualLane x) => Of(Math.Round(x.Value));

    public static DualLane Exp(DualLane x) => Chain(x, Math.Exp(x.Value), Math.Exp(x.Value));

    public static DualLane Expm1(DualLane x) => Chain(x, LaneDouble.Expm1(x.Value).Value, Math.Exp(x.Value));

    public static DualLane Log(DualLane x) => Chain(x, Math.Log(x.Value), 1 / x.Value);

    public static DualLane Log1p(DualLane x) => Chain(x, LaneDouble.Log1p(x.Value).Value, 1 / (1 + x.Value));

    public static DualLane Tanh(DualLane x) => Chain(x, Math.Tanh(x.Value), 1 / (Math.Cosh(x.Value) * Math.Cosh(x.Value)));

    public static DualLane Erf(DualLane x) =>
        Chain(x, LaneDouble.Erf(x.Value).Value, 2 / Math.Sqrt(Math.PI) * Math.Exp(-x.Value * x.Value));

    public static DualLane Phi(DualLane x, out DualLane bell)
    {
        bell = Exp(x * x * Of(-0.5));
        return (Of(1) + Erf(x * Of(1 / Math.Sqrt(2)))) * Of(0.5);
    }

    public static DualLane Sin(DualLane x) => Chain(x, Math.Sin(x.Value), Math.Cos(x.Value));

    public static DualLane Cos(DualLane x) => Chain(x, Math.Cos(x.Value), -Math.Sin(x.Value));

    public static DualLane Atan(DualLane x) => Chain(x, Math.Atan(x.Value), 1 / (1 + (x.Value * x.Value)));

    private static DualLane Chain(DualLane x, double value, double slope) => new(value, slope * x.Slope);
}
