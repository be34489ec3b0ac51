using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>The index of the largest element along an axis, the first of equal ones; the first NaN if there is one.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; null for the index among all elements in row-major order.</param>
    /// <param name="keepAxis">Whether the axis stays, with size 1.</param>
    /// <returns>An I64 tensor.</returns>
    /// <exception cref="ArgumentException">There are no elements to choose from.</exception>
    public static Tensor ArgMax(Tensor x, int? axis = null, bool keepAxis = false) => Arg<Larger>("argmax", x, axis, keepAxis);

    /// <summary>The index of the smallest element along an axis, the first of equals; the first NaN if there is one.</summary>
    /// <inheritdoc cref="ArgMax"/>
    public static Tensor ArgMin(Tensor x, int? axis = null, bool keepAxis = false) => Arg<Smaller>("argmin", x, axis, keepAxis);

    /// <summary>
    /// The largest element along an axis and where it is, the first of equals; the first NaN if there is one. The gradient
    /// goes to that element alone.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="keepAxis">Whether the axis stays, with size 1.</param>
    /// <returns>The values, and the indices as an I64 tensor of the same shape.</returns>
    /// <exception cref="ArgumentException">There are no elements to choose from.</exception>
    public static (Tensor Values, Tensor Indices) Max(Tensor x, int axis, bool keepAxis = false) =>
        WithIndices<Larger>("max", x, axis, keepAxis);

    /// <summary>
    /// The smallest element along an axis and where it is, the first of equals; the first NaN if there is one. The gradient
    /// goes to that element alone.
    /// </summary>
    /// <inheritdoc cref="Max"/>
    public static (Tensor Values, Tensor Indices) Min(Tensor x, int axis, bool keepAxis = false) =>
        WithIndices<Smaller>("min", x, axis, keepAxis);

    private static Tensor Arg<TOrder>(string op, Tensor x, int? axis, bool keepAxis)
        where TOrder : struct, IOrder
    {
        var step = Step.Of(op, x);
        step.RefuseGradient(op, x);
        Pointwise.RequireFloat(op, x);
        var plan = new ReductionPlan(op, x, axis is { } one ? [one] : null);
        var indices = plan.NewResult(step, keepAxis, DType.I64, op);
        Locate<TOrder>(op, Contiguous(x), indices, plan);
        return indices;
    }

    private static (Tensor Values, Tensor Indices) WithIndices<TOrder>(string op, Tensor x, int axis, bool keepAxis)
        where TOrder : struct, IOrder
    {
        var step = Step.Of(op, x);
        Pointwise.RequireFloat(op, x);
        x = Contiguous(x);
        var plan = new ReductionPlan(op, x, [axis]);
        var indices = plan.NewResult(step, keepAxis, DType.I64, op);
        Locate<TOrder>(op, x, indices, plan);
        var values = plan.NewResult(step, keepAxis, x.DType, op);
        if (!x.Device.IsHost)
            Gpu.GatherGpu.Run(x, x.Shape.Axis(axis), Reshape(indices, plan.KeptShape), values);
        else if (x.DType == DType.F64)
            Pick<double>(x, indices, values, plan);
        else
            Pick<float>(x, indices, values, plan);
        if (step.Tracks(x))
            step.Record(values, new PickNode(op, indices, plan, x.Shape.Axis(axis)), x);
        return (values, indices);
    }

    private static void Locate<TOrder>(string op, Tensor x, Tensor indices, ReductionPlan plan)
        where TOrder : struct, IOrder
    {
        if (plan.Reduced == 0 && indices.Count > 0)
            throw new ArgumentException($"{op}: nothing to choose from over an axis of size 0 of shape {x.Shape}");
        if (!x.Device.IsHost)
            TOrder.LocateOnGpu(x, indices, plan);
        else if (x.DType == DType.F64)
            Locate<double, TOrder>(x, indices, plan);
        else
            Locate<float, TOrder>(x, indices, plan);
    }

    private static void Locate<T, TOrder>(Tensor x, Tensor indices, ReductionPlan plan)
        where T : unmanaged, INumber<T>
        where TOrder : struct, IOrder
    {
        const long Grain = 16384;
        T* px = x.Pointer<T>();
        long* pi = indices.Pointer<long>();
        long reduced = plan.Reduced, inner = plan.Inner;
        ((CpuDevice)x.Device).Team.ForRange(indices.Count, Math.Max(1, Grain / Math.Max(1, reduced)), (start, end) =>
        {
            for (long line = start; line < end; line++)
                pi[line] = FirstOf<T, TOrder>(px + (line / inner * reduced * inner) + (line % inner), reduced, inner);
        });
    }

    private static long FirstOf<T, TOrder>(T* x, long count, long stride)
        where T : unmanaged, INumber<T>
        where TOrder : struct, IOrder
    {
        long best = 0;
        var value = *x;
        for (long r = 1; r < count && !T.IsNaN(value); r++)
        {
            var next = x[r * stride];
            if (TOrder.Before(next, value) || T.IsNaN(next))
                (best, value) = (r, next);
        }

        return best;
    }

    private static void Pick<T>(Tensor x, Tensor indices, Tensor values, ReductionPlan plan)
        where T : unmanaged
    {
        T* px = x.Pointer<T>(), pv = values.Pointer<T>();
        long* pi = indices.Pointer<long>();
        for (long line = 0; line < values.Count; line++)
            pv[line] = px[At(line, pi[line], plan)];
    }

    private static long At(long line, long index, ReductionPlan plan) =>
        (((line / plan.Inner * plan.Reduced) + index) * plan.Inner) + (line % plan.Inner);

    private sealed class PickNode : Node
    {
        private readonly Tensor _indices;
        private readonly ReductionPlan _plan;
        private readonly int _axis;

        public PickNode(string op, Tensor indices, ReductionPlan plan, int axis)
        {
            Name = op;
            _indices = Save(indices);
            (_plan, _axis) = (plan, axis);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            dy = Contiguous(dy);
            if (!dy.Device.IsHost)
                Gpu.GatherGpu.Add(target.Tensor, _axis, Reshape(_indices, _plan.KeptShape), dy);
            else if (dy.DType == DType.F64)
                Add<double>(dy, target.Tensor);
            else
                Add<float>(dy, target.Tensor);
        }

        private void Add<T>(Tensor dy, Tensor dx)
            where T : unmanaged, INumber<T>
        {
            T* pdy = dy.Pointer<T>(), pdx = dx.Pointer<T>();
            long* pi = _indices.Pointer<long>();
            for (long line = 0; line < dy.Count; line++)
                pdx[At(line, pi[line], _plan)] += pdy[line];
        }
    }

    private interface IOrder
    {
        static abstract bool Before<T>(T a, T b)
            where T : INumber<T>;

        /// <summary>Launches the kernel of this order.</summary>
        static abstract void LocateOnGpu(Tensor x, Tensor indices, ReductionPlan plan);
    }

    private readonly struct Larger : IOrder
    {
        public static bool Before<T>(T a, T b)
            where T : INumber<T> => a > b;

        public static void LocateOnGpu(Tensor x, Tensor indices, ReductionPlan plan) => Gpu.ArgGpu.Run<LargerOf>(x, indices, plan);
    }

    private readonly struct Smaller : IOrder
    {
        public static bool Before<T>(T a, T b)
            where T : INumber<T> => a < b;

        public static void LocateOnGpu(Tensor x, Tensor indices, ReductionPlan plan) => Gpu.ArgGpu.Run<SmallerOf>(x, indices, plan);
    }
}
