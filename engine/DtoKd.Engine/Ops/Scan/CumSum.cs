using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    // A block scans lines of about this many elements together.
    private const long ScanGrain = 16384;

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
        Scan(x, y, plan, default(RunningSum));
        if (step.Tracks(x))
            step.Record(y, new CumSumNode(plan), x);
        return y;
    }

    private static void Scan<TScan>(Tensor x, Tensor y, ReductionPlan plan, TScan scan)
        where TScan : struct, IScan
    {
        if (x.DType == DType.F64)
            Scan<double, TScan>(x, y, plan, scan);
        else
            Scan<float, TScan>(x, y, plan, scan);
    }

    private static void Scan<T, TScan>(Tensor x, Tensor y, ReductionPlan plan, TScan scan)
        where T : unmanaged, INumber<T>
        where TScan : struct, IScan
    {
        T* px = x.Pointer<T>(), py = y.Pointer<T>();
        long inner = plan.Inner, length = plan.Reduced;
        ((CpuDevice)x.Device).Team.ForRange(plan.Outer * inner, Math.Max(1, ScanGrain / Math.Max(1, length)), (start, end) =>
        {
            for (long line = start; line < end; line++)
            {
                long first = (line / inner * length * inner) + (line % inner);
                scan.Line(px + first, py + first, length, inner);
            }
        });
    }

    /// <summary>dx[r] = dy[r] + dy[r + 1] + ...</summary>
    private sealed class CumSumNode(ReductionPlan plan) : Node
    {
        public override string Name => "cumsum";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Step.New(dy.Shape, dy.DType, Name);
            Scan(Contiguous(dy), dx, plan, default(RunningSumFromEnd));
            into.Give(0, dx);
        }
    }

    /// <summary>What happens along one line of elements that are <c>stride</c> apart. Sums and products run in double.</summary>
    private interface IScan
    {
        void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>;
    }

    private readonly struct RunningSum : IScan
    {
        public void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>
        {
            double sum = 0;
            for (long i = 0; i < count * stride; i += stride)
            {
                sum += double.CreateTruncating(x[i]);
                y[i] = T.CreateTruncating(sum);
            }
        }
    }

    private readonly struct RunningSumFromEnd : IScan
    {
        public void Line<T>(T* x, T* y, long count, long stride)
            where T : unmanaged, INumber<T>
        {
            double sum = 0;
            for (long i = (count - 1) * stride; i >= 0; i -= stride)
            {
                sum += double.CreateTruncating(x[i]);
                y[i] = T.CreateTruncating(sum);
            }
        }
    }
}
