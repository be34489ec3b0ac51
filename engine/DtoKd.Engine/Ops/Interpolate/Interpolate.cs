namespace DtoKd.Engine;

/// <summary>How <see cref="Op.Interpolate"/> finds a value between pixels.</summary>
public enum ResizeMode
{
    /// <summary>The pixel that the position falls into.</summary>
    Nearest,

    /// <summary>Linear in each axis between the two next pixels.</summary>
    Bilinear,

    /// <summary>Keys' cubic through the four next pixels of each axis: a = -0.75, and -0.5 with antialiasing.</summary>
    Bicubic,
}

public static partial class Op
{
    /// <summary>
    /// Images resized to a given size: y = H x W^T for each image and channel, where a row of the matrices H and W has the few
    /// weights of one new pixel (Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981).
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="size">The new height and width.</param>
    /// <param name="mode">How to interpolate.</param>
    /// <param name="alignCorners">
    /// Whether the centres of the corner pixels meet; else the images' edges do. Not for <see cref="ResizeMode.Nearest"/>.
    /// </param>
    /// <param name="antialias">
    /// Whether the kernel widens with the pixels when the image shrinks, as in Pillow. Not for <see cref="ResizeMode.Nearest"/>
    /// nor with <paramref name="alignCorners"/>.
    /// </param>
    /// <returns>[N, C, size].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], an empty image or size, or choices that exclude each other.</exception>
    public static Tensor Interpolate(
        Tensor x, Pair size, ResizeMode mode = ResizeMode.Bilinear, bool alignCorners = false, bool antialias = false)
    {
        RequireResize(x, size, mode, alignCorners, antialias);
        return Resample(
            x,
            ResampleAxis.Of(x.Shape[2], size.Height, size.Height, x.Shape[2], mode, alignCorners, antialias),
            ResampleAxis.Of(x.Shape[3], size.Width, size.Width, x.Shape[3], mode, alignCorners, antialias));
    }

    /// <summary>
    /// Images resized by a factor. The new size is rounded down, and positions go by the factor itself: for a factor that does
    /// not divide evenly this differs from <see cref="Interpolate"/> to that size.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="scale">New pixels per old one, along both axes.</param>
    /// <param name="mode">How to interpolate.</param>
    /// <param name="alignCorners">As in <see cref="Interpolate"/>; positions then go by the sizes.</param>
    /// <param name="antialias">As in <see cref="Interpolate"/>.</param>
    /// <returns>[N, C, floor(H scale), floor(W scale)].</returns>
    /// <exception cref="ArgumentException">As for <see cref="Interpolate"/>, or a factor that leaves no pixel.</exception>
    public static Tensor InterpolateBy(
        Tensor x, double scale, ResizeMode mode = ResizeMode.Bilinear, bool alignCorners = false, bool antialias = false)
    {
        PoolWindows.RequireImages("interpolate", x);
        double height = Math.Floor(x.Shape[2] * scale), width = Math.Floor(x.Shape[3] * scale);
        if (!(height is >= 1 and <= int.MaxValue && width is >= 1 and <= int.MaxValue))
            throw new ArgumentException($"interpolate: scale {scale} of x {x.Shape}, expected a size of at least 1");
        Pair size = ((int)height, (int)width);
        RequireResize(x, size, mode, alignCorners, antialias);
        return Resample(
            x,
            ResampleAxis.Of(x.Shape[2], size.Height, scale, 1, mode, alignCorners, antialias),
            ResampleAxis.Of(x.Shape[3], size.Width, scale, 1, mode, alignCorners, antialias));
    }

    internal static readonly KernelTable<IResampleKernels> ResampleKernels =
        new(new ResampleReference(), new ResampleCpu(), new Gpu.ResampleGpu());

    private static Tensor Resample(Tensor x, ResampleAxis h, ResampleAxis w)
    {
        var step = Step.Of("interpolate", x);
        x = Contiguous(x);
        var y = step.New([x.Shape[0], x.Shape[1], h.Count, w.Count], x.DType, "interpolate");
        ResampleKernels.For(x).Forward(step, h, w, x, y);
        if (step.Tracks(x))
            step.Record(y, new ResampleNode(h, w), x);
        return y;
    }

    private static void RequireResize(Tensor x, Pair size, ResizeMode mode, bool alignCorners, bool antialias)
    {
        const string op = "interpolate";
        PoolWindows.RequireImages(op, x);
        if (size.Height < 1 || size.Width < 1 || x.Shape[2] == 0 || x.Shape[3] == 0)
            throw new ArgumentException($"{op}: size {size} of x {x.Shape}, expected at least 1 of 1 pixel");
        if (mode == ResizeMode.Nearest && (alignCorners || antialias))
            throw new ArgumentException($"{op}: mode {mode} neither aligns corners nor antialiases");
        if (alignCorners && antialias)
            throw new ArgumentException($"{op}: antialiasing does not go with aligned corners");
    }

    /// <summary>The transpose of the same matrices: dx = H^T dy W.</summary>
    private sealed class ResampleNode(ResampleAxis h, ResampleAxis w) : Node
    {
        public override string Name => "interpolate";

        public override void Backward(Tensor dy, Gradients into)
        {
            var (dx, accumulate) = into.Target(0);
            if (!accumulate)
                dx.Clear();
            ResampleKernels.For(dy).Backward(into.Step, h, w, Contiguous(dy), dx);
        }
    }
}

/// <summary>Kernels of <see cref="Op.Interpolate"/>.</summary>
internal interface IResampleKernels
{
    /// <summary>y = H x W^T for each plane.</summary>
    void Forward(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y);

    /// <summary>dx += H^T dy W for each plane.</summary>
    void Backward(Step step, ResampleAxis h, ResampleAxis w, Tensor dy, Tensor dx);
}
