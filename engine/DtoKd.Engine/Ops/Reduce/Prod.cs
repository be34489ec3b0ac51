using System.Numerics;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>The product over axes; 1 over none.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    public static Tensor Prod(Tensor x, int[]? axes = null, bool keepAxes = false)
    {
        var step = Step.Of("prod", x);
        Pointwise.RequireFloat("prod", x);
        var plan = new ReductionPlan("prod", x, axes);
        var arranged = Contiguous(plan.Arrange(x));
        var y = plan.NewResult(step, keepAxes, x.DType, "prod");
        Fold.Run<ProductOf>(arranged, y, plan.Outer, plan.Reduced, plan.Inner);
        if (step.Tracks(arranged))
            step.Record(y, new ProdNode(arranged, plan), arranged);
        return y;
    }

    /// <summary>dx = dy times the product of the others, which is right where an element is 0 as well.</summary>
    private sealed class ProdNode : Node
    {
        private readonly Tensor _x;
        private readonly ReductionPlan _plan;

        public ProdNode(Tensor x, ReductionPlan plan)
        {
            _x = Save(x);
            _plan = plan;
        }

        public override string Name => "prod";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Step.New(_x.Shape, _x.DType, Name);
            dy = Contiguous(dy);
            if (!_x.Device.IsHost)
                Gpu.ProdGpu.Backward(_x, dy, dx, _plan);
            else if (_x.DType == DType.F64)
                ProductOfOthers(_x.Pointer<double>(), dy.Pointer<double>(), dx.Pointer<double>(), _plan);
            else
                ProductOfOthers(_x.Pointer<float>(), dy.Pointer<float>(), dx.Pointer<float>(), _plan);
            into.Give(0, dx);
        }

        private static void ProductOfOthers<T>(T* x, T* dy, T* dx, ReductionPlan plan)
            where T : unmanaged, INumber<T>
        {
            long inner = plan.Inner;
            for (long line = 0; line < plan.Outer * inner; line++)
            {
                long first = (line / inner * plan.Reduced * inner) + (line % inner);
                long end = first + (plan.Reduced * inner);
                var before = dy[line];
                for (long i = first; i < end; i += inner)
                {
                    dx[i] = before;
                    before *= x[i];
                }

                var after = T.One;
                for (long i = end - inner; i >= first; i -= inner)
                {
                    dx[i] *= after;
                    after *= x[i];
                }
            }
        }
    }

    internal readonly struct ProductOf : IFold
    {
        public static double Start => 1;

        public static V Of<V>(V a, V b)
            where V : unmanaged, ILane<V> => a * b;
    }
}
