namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>Products of the elements up to and including each one along an axis: y[r] = x[0] ... x[r].</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    public static Tensor CumProd(Tensor x, int axis)
    {
        var step = Step.Of("cumprod", x);
        Pointwise.RequireFloat("cumprod", x);
        x = Contiguous(x);
        var plan = new ReductionPlan("cumprod", x, [axis]);
        var y = step.New(x.Shape, x.DType, "cumprod");
        Scan<RunningProduct>(x, x, y, plan);
        if (step.Tracks(x))
            step.Record(y, new CumProdNode(x, plan), x);
        return y;
    }

    /// <summary>
    /// dx[k] = x[0] ... x[k - 1] s[k] with s[k] = dy[k] + x[k + 1] s[k + 1]: no division, so zeros are right.
    /// </summary>
    private sealed class CumProdNode : Node
    {
        private readonly Tensor _x;
        private readonly ReductionPlan _plan;

        public CumProdNode(Tensor x, ReductionPlan plan)
        {
            _x = Save(x);
            _plan = plan;
        }

        public override string Name => "cumprod";

        public override void Backward(Tensor dy, Gradients into)
        {
            var before = into.Step.New(_x.Shape, _x.DType, Name);
            Scan<ProductBefore>(_x, _x, before, _plan);
            var dx = into.Step.New(_x.Shape, _x.DType, Name);
            Scan<ShareOfProducts>(_x, Contiguous(dy), dx, _plan);
            into.Give(0, dx * before);
        }
    }

    internal readonly struct RunningProduct : IScan
    {
        public static double Start => 1;

        public static bool IsFromEnd => false;

        public static double Next(ref double state, double x, double seed) => state *= x;
    }

    internal readonly struct ProductBefore : IScan
    {
        public static double Start => 1;

        public static bool IsFromEnd => false;

        public static double Next(ref double state, double x, double seed)
        {
            double before = state;
            state *= x;
            return before;
        }
    }

    /// <summary>The s of <see cref="CumProdNode"/>.</summary>
    internal readonly struct ShareOfProducts : IScan
    {
        public static double Start => 0;

        public static bool IsFromEnd => true;

        public static double Next(ref double state, double x, double seed)
        {
            double share = state + seed;
            state = share * x;
            return share;
        }
    }
}
