using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A thread for each row: one number of it is read or written.</summary>
internal static class NllLossGpu
{
    /// <summary>loss[i] = -weights[i] x[i, labels[i]].</summary>
    public static void Forward(Tensor x, Tensor labels, Tensor weights, Tensor loss) =>
        GridStride.Launch<NllForward, NllArgs>((GpuDevice)x.Device, loss.Count, new(x, labels, weights, loss));

    /// <summary>dx[i, labels[i]] = -weights[i] dy[i], into zeros.</summary>
    public static void Backward(Tensor dy, Tensor labels, Tensor weights, Tensor dx) =>
        GridStride.Launch<NllBackward, NllArgs>((GpuDevice)dx.Device, dy.Count, new(dx, labels, weights, dy));
}

/// <summary>A row of weight 0 may have a label that is no class.</summary>
internal struct NllArgs(Tensor rows, Tensor labels, Tensor weights, Tensor loss)
{
    public ArrayView<float> Rows = GpuDevice.View<float>(rows), Weights = GpuDevice.View<float>(weights), Loss = GpuDevice.View<float>(loss);
    public ArrayView<long> Labels = GpuDevice.View<long>(labels);
    public int Count = checked((int)loss.Count), Classes = rows.Shape[^1];

    public readonly long At(int row) => ((long)row * Classes) + Labels[row];
}

internal readonly struct NllForward : IKernel<NllArgs>
{
    public static void Run(NllArgs args)
    {
        for (int row = GridStride.First; row < args.Count; row += GridStride.Step)
        {
            float loss = 0;
            if (args.Weights[row] != 0)
                loss = -args.Rows[args.At(row)] * args.Weights[row];
            args.Loss[row] = loss;
        }
    }
}

internal readonly struct NllBackward : IKernel<NllArgs>
{
    public static void Run(NllArgs args)
    {
        for (int row = GridStride.First; row < args.Count; row += GridStride.Step)
        {
            if (args.Weights[row] != 0)
                args.Rows[args.At(row)] = -args.Loss[row] * args.Weights[row];
        }
    }
}
