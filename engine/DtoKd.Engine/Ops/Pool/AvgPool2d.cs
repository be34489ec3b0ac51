namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The mean of each window, over its pixels and, if wanted, the zeros of the padding.</summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="kernel">The window's size (k).</param>
    /// <param name="stride">Pixels from one window to the next (s); the window's size when null.</param>
    /// <param name="padding">Zeros added on each side (p), at most half of the window; 0 when null.</param>
    /// <param name="ceilMode">Whether a last window may reach beyond the padding, if it begins before it.</param>
    /// <param name="countIncludePad">Whether the mean counts the padding; what lies beyond the padding never counts.</param>
    /// <returns>[N, C, OH, OW] with OH = (H + 2p - k) / s + 1, rounded down, or up with <paramref name="ceilMode"/>.</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or parameters that leave no window.</exception>
    public static Tensor AvgPool2d(
        Tensor x, Pair kernel, Pair? stride = null, Pair? padding = null, bool ceilMode = false, bool countIncludePad = true) =>
        AvgPool(
            "avg_pool2d", x, PoolWindows.Sliding("avg_pool2d", x, kernel, stride ?? kernel, padding ?? 0, 1, ceilMode),
            countIncludePad);

    /// <summary>
    /// The mean of each of as many windows as asked for: window i of n begins at i H / n and ends before (i + 1) H / n, rounded
    /// outwards.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="outputSize">The size of the result.</param>
    /// <returns>[N, C, outputSize].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or an empty image.</exception>
    public static Tensor AdaptiveAvgPool2d(Tensor x, Pair outputSize) =>
        AvgPool("adaptive_avg_pool2d", x, PoolWindows.Adaptive("adaptive_avg_pool2d", x, outputSize), countIncludePad: false);

    /// <summary>The mean over the pixels of each channel.</summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="keepAxes">Whether height and width stay, with size 1.</param>
    /// <returns>[N, C], or [N, C, 1, 1].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or an empty image.</exception>
    public static Tensor GlobalAvgPool(Tensor x, bool keepAxes = false)
    {
        PoolWindows.RequireImages("global_avg_pool", x);
        if (x.Shape.CountOf(2, 4) == 0)
            throw new ArgumentException($"global_avg_pool: x {x.Shape} has images without pixels");
        return Mean(x, [2, 3], keepAxes);
    }

    internal static readonly KernelTable<IAvgPoolKernels> AvgPoolKernels =
        new(new AvgPoolReference(), new AvgPoolCpu(), new Gpu.AvgPoolGpu());

    private static Tensor AvgPool(string op, Tensor x, PoolWindows windows, bool countIncludePad)
    {
        x = Contiguous(x);
        var step = Step.Of(op, x);
        var y = step.New(windows.Output, x.DType, op);
        AvgPoolKernels.For(x).Forward(windows, countIncludePad, x, y);
        if (step.Tracks(x))
            step.Record(y, new AvgPoolNode(op, windows, countIncludePad), x);
        return y;
    }

    private sealed class AvgPoolNode(string op, PoolWindows windows, bool countIncludePad) : Node
    {
        public override string Name => op;

        public override void Backward(Tensor dy, Gradients into)
        {
            var (dx, accumulate) = into.Target(0);
            if (!accumulate)
                dx.Clear();
            AvgPoolKernels.For(dy).Backward(windows, countIncludePad, Contiguous(dy), dx);
        }
    }
}

/// <summary>Kernels of <see cref="Op.AvgPool2d"/> and <see cref="Op.AdaptiveAvgPool2d"/>.</summary>
internal interface IAvgPoolKernels
{
    /// <summary>y = sum of the window / size of the window.</summary>
    void Forward(PoolWindows windows, bool countIncludePad, Tensor x, Tensor y);

    /// <summary>dx += dy / size, for each pixel of the window.</summary>
    void Backward(PoolWindows windows, bool countIncludePad, Tensor dy, Tensor dx);
}
