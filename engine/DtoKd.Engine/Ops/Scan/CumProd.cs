using System.Numerics;

namespace DtoKd.Engine;

public static unsafe partial class Op
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
        Scan(x, y, plan, default(RunningProduct));
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
            Scan(_x, before, _plan, default(ProductBefore));
            var dx = into.Step.New(_x.Shape, _x.DType, Name);
            dy = Contiguous(dy);
            if (_x.DType == DType.F64)
                Scan(_x, dx, _plan, new ShareOfProducts<double>(dy.Pointer<double>(), _x.Pointer<double>()));
            else
                Scan(_x, dx, _plan, new ShareOfProducts<float>(dy.Pointer<float>(), _x.Pointer<float>()));
            into.Give(0, dx * before);
        }
    }

    private readonly struct RunningProduct : IScan
    {
        public void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>
        {
            double product = 1;
            for (long i = 0; i < count * stride; i += stride)
            {
                product *= double.CreateTruncating(x[i]);
                y[i] = T.CreateTruncating(product);
            }
        }
    }

    private readonly struct ProductBefore : IScan
    {
        public void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>
        {
            double product = 1;
            for (long i = 0; i < count * stride; i += stride)
            {
                y[i] = T.CreateTruncating(product);
                product *= double.CreateTruncating(x[i]);
            }
        }
    }

    /// <summary>The s of <see cref="CumProdNode"/>; dy lies like x, whose start is known to find the line in it.</summary>
    private readonly struct ShareOfProducts<TElement>(TElement* dy, TElement* firstX) : IScan
        where TElement : unmanaged, INumber<TElement>
    {
        private readonly TElement* _dy = dy;
        private readonly TElement* _firstX = firstX;

        public void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>
        {
            var seed = _dy + ((TElement*)x - _firstX);
            double share = 0;
            for (long i = (count - 1) * stride; i >= 0; i -= stride)
            {
                share += double.CreateTruncating(seed[i]);
                y[i] = T.CreateTruncating(share);
                share *= double.CreateTruncating(x[i]);
            }
        }
    }
}
