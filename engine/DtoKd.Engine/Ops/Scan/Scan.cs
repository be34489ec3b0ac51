using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>What happens along a line of elements, in double precision on every device.</summary>
internal interface IScan
{
    /// <summary>The state before the first element.</summary>
    static abstract double Start { get; }

    /// <summary>Whether the line is walked from its end.</summary>
    static abstract bool IsFromEnd { get; }

    /// <summary>The result at an element of one or two tensors; the state goes on to the next one.</summary>
    static abstract double Next(ref double state, double x, double seed);
}

public static unsafe partial class Op
{
    // A block scans lines of about this many elements together.
    private const long ScanGrain = 16384;

    /// <summary>y = the scan of x and seed, all contiguous and of one shape; pass x twice if the scan reads one.</summary>
    private static void Scan<TScan>(Tensor x, Tensor seed, Tensor y, ReductionPlan plan)
        where TScan : struct, IScan
    {
        if (!y.Device.IsHost)
            Gpu.ScanGpu.Run<TScan>(x, seed, y, plan);
        else if (x.DType == DType.F64)
            Scan<double, TScan>(x, seed, y, plan);
        else
            Scan<float, TScan>(x, seed, y, plan);
    }

    private static void Scan<T, TScan>(Tensor x, Tensor seed, Tensor y, ReductionPlan plan)
        where T : unmanaged, INumber<T>
        where TScan : struct, IScan
    {
        T* px = x.Pointer<T>(), ps = seed.Pointer<T>(), py = y.Pointer<T>();
        long inner = plan.Inner, length = plan.Reduced;
        ((CpuDevice)x.Device).Team.ForRange(plan.Outer * inner, Math.Max(1, ScanGrain / Math.Max(1, length)), (start, end) =>
        {
            for (long line = start; line < end; line++)
            {
                long first = (line / inner * length * inner) + (line % inner);
                ScanLine<T, TScan>(px + first, ps + first, py + first, length, inner);
            }
        });
    }

    private static void ScanLine<T, TScan>(T* x, T* seed, T* y, long count, long stride)
        where T : unmanaged, INumber<T>
        where TScan : struct, IScan
    {
        double state = TScan.Start;
        long at = TScan.IsFromEnd ? (count - 1) * stride : 0, step = TScan.IsFromEnd ? -stride : stride;
        for (long i = 0; i < count; i++, at += step)
            y[at] = T.CreateTruncating(TScan.Next(ref state, double.CreateTruncating(x[at]), double.CreateTruncating(seed[at])));
    }
}
