using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

internal static unsafe partial class Pointwise
{
    /// <summary>y = formula(x), recorded with its slope.</summary>
    public static Tensor UnaryWithSlope<TFormula>(string op, Tensor x, TFormula formula)
        where TFormula : struct, IUnaryWithSlope
    {
        var step = Step.Of(op, x);
        RequireFloat(op, x);
        var y = step.New(x.Shape, x.DType, op);
        if (!step.Tracks(x))
        {
            Run(new ValueOnly<TFormula>(formula), y, x, x, x);
            return y;
        }

        // The node takes over the slope: nothing else reads it.
        using var own = step.OwnScope();
        var slope = step.New(x.Shape, x.DType, op);
        RunWithSlope(formula, Op.Contiguous(x), y, slope);
        step.Record(y, new SavedSlopeNode(op, slope), x);
        return y;
    }

    /// <summary>y = formula(x) and its slope, all contiguous; y may be x. Nothing is recorded.</summary>
    public static void RunWithSlope<TFormula>(TFormula formula, Tensor x, Tensor y, Tensor slope)
        where TFormula : struct, IUnaryWithSlope
    {
        if (!y.Device.Computes)
            return;
        if (!y.Device.IsHost)
        {
            Gpu.PointwiseGpu.RunWithSlope(formula, x, y, slope);
            return;
        }

        if (y.DType == DType.F64)
        {
            double* px = x.Pointer<double>(), py = y.Pointer<double>(), ps = slope.Pointer<double>();
            for (long i = 0; i < x.Count; i++)
            {
                py[i] = formula.ValueAndSlope<LaneDouble>(px[i], out var s).Value;
                ps[i] = s.Value;
            }

            return;
        }

        switch (((CpuDevice)y.Device).Vectors)
        {
            case LaneKind.Lane512:
                RunWithSlope<TFormula, Lane512>(formula, x, y, slope);
                break;
            case LaneKind.Lane256:
                RunWithSlope<TFormula, Lane256>(formula, x, y, slope);
                break;
            default:
                RunWithSlope<TFormula, LaneVector>(formula, x, y, slope);
                break;
        }
    }

    private static void RunWithSlope<TFormula, V>(TFormula formula, Tensor x, Tensor y, Tensor slope)
        where TFormula : struct, IUnaryWithSlope
        where V : unmanaged, IFloatLane<V>
    {
        float* px = x.Pointer<float>(), py = y.Pointer<float>(), ps = slope.Pointer<float>();
        ((CpuDevice)y.Device).Team.ForRange(x.Count, Grain, (start, end) =>
            ValueAndSlope<TFormula, V>(formula, px + start, py + start, ps + start, end - start));
    }

    private static void ValueAndSlope<TFormula, V>(TFormula formula, float* x, float* y, float* slope, long count)
        where TFormula : struct, IUnaryWithSlope
        where V : unmanaged, IFloatLane<V>
    {
        long i = 0;
        for (; i + V.Width <= count; i += V.Width)
        {
            V.Store(formula.ValueAndSlope(V.Load(x + i), out var s), y + i);
            V.Store(s, slope + i);
        }

        if (i == count)
            return;
        V.StorePart(formula.ValueAndSlope(V.LoadPart(x + i, count - i, 0), out var rest), y + i, count - i);
        V.StorePart(rest, slope + i, count - i);
    }

    private sealed class SavedSlopeNode : Node
    {
        private readonly Tensor _slope;

        public SavedSlopeNode(string op, Tensor slope)
        {
            Name = op;
            _slope = Save(slope);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Over(dy);
            Run(default(Times), dx, dy, _slope, _slope);
            into.Give(0, dx);
        }
    }
}
