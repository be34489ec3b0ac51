namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The largest element of each window. The padding counts as minus infinity; NaN if the window has one.</summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="kernel">The window's size (k).</param>
    /// <param name="stride">Pixels from one window to the next (s); the window's size when null.</param>
    /// <param name="padding">Pixels added on each side (p), at most half of the window; 0 when null.</param>
    /// <param name="dilation">Pixels from one element of a window to the next (d); 1 when null.</param>
    /// <param name="ceilMode">Whether a last window may reach beyond the padding, if it begins before it.</param>
    /// <returns>
    /// [N, C, OH, OW] with OH = (H + 2p - d (k - 1) - 1) / s + 1, rounded down, or up with <paramref name="ceilMode"/>.
    /// </returns>
    /// <remarks>The gradient goes to the first of equal maxima.</remarks>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or parameters that leave no window.</exception>
    public static Tensor MaxPool2d(
        Tensor x, Pair kernel, Pair? stride = null, Pair? padding = null, Pair? dilation = null, bool ceilMode = false) =>
        MaxPool(
            "max_pool2d", x,
            PoolWindows.Sliding("max_pool2d", x, kernel, stride ?? kernel, padding ?? 0, dilation ?? 1, ceilMode));

    /// <summary>
    /// The largest element of each of as many windows as asked for: window i of n begins at i H / n and ends before
    /// (i + 1) H / n, rounded outwards.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="outputSize">The size of the result.</param>
    /// <returns>[N, C, outputSize].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or an empty image.</exception>
    public static Tensor AdaptiveMaxPool2d(Tensor x, Pair outputSize) =>
        MaxPool("adaptive_max_pool2d", x, PoolWindows.Adaptive("adaptive_max_pool2d", x, outputSize));

    internal static readonly KernelTable<IMaxPoolKernels> MaxPoolKernels =
        new(new MaxPoolReference(), new MaxPoolCpu(), new Gpu.MaxPoolGpu());

    private static Tensor MaxPool(string op, Tensor x, PoolWindows windows)
    {
        x = Contiguous(x);
        var step = Step.Of(op, x);
        var y = step.New(windows.Output, x.DType, op);
        bool tracks = step.Tracks(x);
        var winners = tracks ? step.New(windows.Output, DType.I32, op) : null;
        MaxPoolKernels.For(x).Forward(windows, x, y, winners);
        if (tracks)
            step.Record(y, new MaxPoolNode(op, windows, winners!), x);
        return y;
    }

    private sealed class MaxPoolNode : Node
    {
        private readonly PoolWindows _windows;
        private readonly Tensor _winners;

        public MaxPoolNode(string op, PoolWindows windows, Tensor winners)
        {
            Name = op;
            _windows = windows;
            _winners = Save(winners);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var (dx, accumulate) = into.Target(0);
            if (!accumulate)
                dx.Clear();
            MaxPoolKernels.For(dy).Backward(_windows, Contiguous(dy), _winners, dx);
        }
    }
}

/// <summary>Kernels of <see cref="Op.MaxPool2d"/> and <see cref="Op.AdaptiveMaxPool2d"/>.</summary>
internal interface IMaxPoolKernels
{
    /// <summary>y and, if asked for, where in its image each maximum was found (-1 in a window without pixels).</summary>
    void Forward(PoolWindows windows, Tensor x, Tensor y, Tensor? winners);

    /// <summary>dx[winners] += dy.</summary>
    void Backward(PoolWindows windows, Tensor dy, Tensor winners, Tensor dx);
}
