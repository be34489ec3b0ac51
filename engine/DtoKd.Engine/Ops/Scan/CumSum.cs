namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>Sums of the elements up to and including each one along an axis: y[r] = x[0] + ... + x[r].</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    public static Tensor CumSum(Tensor x, int axis)
    {
        var step = Step.Of("cumsum", x);
        Pointwise.RequireFloat("cumsum", x);
        x = Contiguous(x);
        var plan = new ReductionPlan("cumsum", x, [axis]);
        var y = step.New(x.Shape, x.DType, "cumsum");
        Scan<RunningSum>(x, x, y, plan);
        if (step.Tracks(x))
            step.Record(y, new CumSumNode(plan), x);
        return y;
    }

    /// <summary>dx[r] = dy[r] + dy[r + 1] + ...</summary>
    private sealed class CumSumNode(ReductionPlan plan) : Node
    {
        public override string Name => "cumsum";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Step.New(dy.Shape, dy.DType, Name);
            dy = Contiguous(dy);
            Scan<RunningSumFromEnd>(dy, dy, dx, plan);
            into.Give(0, dx);
        }
    }

    internal readonly struct RunningSum : IScan
    {
        public static double Start => 0;

        public static bool IsFromEnd => false;

        public static double Next(ref double state, double x, double seed) => state += x;
    }

    internal readonly struct RunningSumFromEnd : IScan
    {
        public static double Start => 0;

        public static bool IsFromEnd => true;

        public static double Next(ref double state, double x, double seed) => state += x;
    }
}
