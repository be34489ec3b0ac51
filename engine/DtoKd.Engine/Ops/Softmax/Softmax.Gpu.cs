using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Along the last axis, a team of threads for each row; along another one, a thread for each column, so that neighbouring
/// threads read neighbouring columns.
/// </summary>
internal sealed class SoftmaxGpu : ISoftmaxKernels
{
    public void Forward(Tensor x, Tensor y, SoftmaxExtent extent, bool logarithm)
    {
        var args = new SoftmaxArgs(x, y, y, extent, logarithm);
        var device = (GpuDevice)y.Device;
        if (extent.Inner == 1)
            RowTeam.Launch<SoftmaxRows<WarpOfRow>, SoftmaxRows<GroupOfRow>, SoftmaxArgs>(device, extent.Outer, extent.Length, args);
        else
            GridStride.Launch<SoftmaxColumns, SoftmaxArgs>(device, args.Count, args);
    }

    public void Backward(Tensor dy, Tensor y, GradTarget dx, SoftmaxExtent extent, bool logarithm)
    {
        var args = new SoftmaxArgs(dy, y, dx.Tensor, extent, logarithm) { Accumulate = dx.Accumulate ? 1 : 0 };
        var device = (GpuDevice)y.Device;
        if (extent.Inner == 1)
        {
            RowTeam.Launch<SoftmaxRowsBackward<WarpOfRow>, SoftmaxRowsBackward<GroupOfRow>, SoftmaxArgs>(
                device, extent.Outer, extent.Length, args);
        }
        else
        {
            GridStride.Launch<SoftmaxColumnsBackward, SoftmaxArgs>(device, args.Count, args);
        }
    }
}

/// <summary>Forward, y of x; backward, dx of x = dy and y.</summary>
internal struct SoftmaxArgs
{
    public ArrayView<float> X, Y, Dx;
    public int Count, Length, Inner, Logarithm, Accumulate;

    public SoftmaxArgs(Tensor x, Tensor y, Tensor dx, SoftmaxExtent extent, bool logarithm)
    {
        X = GpuDevice.View<float>(x);
        Y = GpuDevice.View<float>(y);
        Dx = GpuDevice.View<float>(dx);
        Count = checked((int)(extent.Outer * extent.Inner));
        Length = checked((int)extent.Length);
        Inner = checked((int)extent.Inner);
        Logarithm = logarithm ? 1 : 0;
        Accumulate = 0;
    }

    /// <summary>y of x - max, of which sum is the sum of exponentials.</summary>
    public readonly float Value(float shifted, float sum, float logSum) =>
        Logarithm != 0 ? shifted - logSum : GpuLane.Exp(new(shifted)).Value / sum;

    /// <summary>What a row's sum of the backward pass is over.</summary>
    public readonly float Term(float dy, float y) => Logarithm != 0 ? dy : dy * y;

    public readonly void Put(int at, float sum)
    {
        float y = Y[at], dy = X[at];
        float d = Logarithm != 0 ? Ptx.Fma(-sum, GpuLane.Exp(new(y)).Value, dy) : y * (dy - sum);
        Dx[at] = Accumulate != 0 ? Dx[at] + d : d;
    }
}

internal readonly struct SoftmaxRows<TTeam> : IKernel<SoftmaxArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(SoftmaxArgs args)
    {
        int row = TTeam.Row, first = (row * args.Length) + TTeam.Rank;
        int end = row < args.Count ? (row + 1) * args.Length : 0;
        float max = float.NegativeInfinity, sum = 0;
        for (int i = first; i < end; i += TTeam.Size)
            max = Ptx.Max(max, args.X[i]);
        max = TTeam.Fold<Op.LargerOf>(max);
        for (int i = first; i < end; i += TTeam.Size)
            sum += GpuLane.Exp(new(args.X[i] - max)).Value;
        sum = TTeam.Fold<SumOf>(sum);
        float logSum = GpuLane.Log(new(sum)).Value;
        for (int i = first; i < end; i += TTeam.Size)
            args.Y[i] = args.Value(args.X[i] - max, sum, logSum);
    }
}

internal readonly struct SoftmaxRowsBackward<TTeam> : IKernel<SoftmaxArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(SoftmaxArgs args)
    {
        int row = TTeam.Row, first = (row * args.Length) + TTeam.Rank;
        int end = row < args.Count ? (row + 1) * args.Length : 0;
        float sum = 0;
        for (int i = first; i < end; i += TTeam.Size)
            sum += args.Term(args.X[i], args.Y[i]);
        sum = TTeam.Fold<SumOf>(sum);
        for (int i = first; i < end; i += TTeam.Size)
            args.Put(i, sum);
    }
}

internal readonly struct SoftmaxColumns : IKernel<SoftmaxArgs>
{
    public static void Run(SoftmaxArgs args)
    {
        for (int column = GridStride.First; column < args.Count; column += GridStride.Step)
        {
            int outer = column / args.Inner, first = (outer * (args.Length - 1) * args.Inner) + column;
            int end = first + (args.Length * args.Inner);
            float max = float.NegativeInfinity, sum = 0;
            for (int i = first; i < end; i += args.Inner)
                max = Ptx.Max(max, args.X[i]);
            for (int i = first; i < end; i += args.Inner)
                sum += GpuLane.Exp(new(args.X[i] - max)).Value;
            float logSum = GpuLane.Log(new(sum)).Value;
            for (int i = first; i < end; i += args.Inner)
                args.Y[i] = args.Value(args.X[i] - max, sum, logSum);
        }
    }
}

internal readonly struct SoftmaxColumnsBackward : IKernel<SoftmaxArgs>
{
    public static void Run(SoftmaxArgs args)
    {
        for (int column = GridStride.First; column < args.Count; column += GridStride.Step)
        {
            int outer = column / args.Inner, first = (outer * (args.Length - 1) * args.Inner) + column;
            int end = first + (args.Length * args.Inner);
            float sum = 0;
            for (int i = first; i < end; i += args.Inner)
                sum += args.Term(args.X[i], args.Y[i]);
            for (int i = first; i < end; i += args.Inner)
                args.Put(i, sum);
        }
    }
}
