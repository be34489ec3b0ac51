namespace DtoKd.Engine;

/// <summary>The checked sizes of a convolution: [N, C, H, W] with weight [O, C / groups, kh, kw] to [N, O, OH, OW].</summary>
internal sealed record Conv2dGeometry(
    int N, int C, int H, int W, int O, Pair Kernel, Pair Stride, Pair Padding, Pair Dilation, int Groups)
{
    /// <summary>Input channels of one group.</summary>
    public int GroupC => C / Groups;

    /// <summary>Output channels of one group.</summary>
    public int GroupO => O / Groups;

    /// <summary>The height of the result.</summary>
    public int OH { get; } = OutputSize(H, Kernel.Height, Stride.Height, Padding.Height, Dilation.Height);

    /// <summary>The width of the result.</summary>
    public int OW { get; } = OutputSize(W, Kernel.Width, Stride.Width, Padding.Width, Dilation.Width);

    /// <summary>Positions of the kernel in one channel.</summary>
    public int KernelArea => Kernel.Height * Kernel.Width;

    /// <summary>Products of the sum that makes y, those with zeros of the padding included.</summary>
    public long MultiplyAdds => Output.Count * GroupC * KernelArea;

    /// <summary>The shape of the images.</summary>
    public Shape Input => [N, C, H, W];

    /// <summary>The shape of the result.</summary>
    public Shape Output => [N, O, OH, OW];

    /// <summary>Whether each image is one pixel, as in squeeze-excite: a linear layer.</summary>
    public bool IsOnePixel => KernelArea == 1 && Groups == 1 && Input.CountOf(2, 4) == 1 && Output.CountOf(2, 4) == 1;

    /// <summary>Whether single pixels are read and others passed over.</summary>
    public bool SkipsPixels => KernelArea == 1 && Stride != 1 && Padding == 0;

    /// <summary>Whether the windows, of more than one pixel, tile the image: each is read once, as the patches of a transformer.</summary>
    public bool TakesPatches => KernelArea > 1 && Kernel == Stride && Dilation == 1 && Padding == 0 && Groups == 1
        && H == OH * Kernel.Height && W == OW * Kernel.Width;

    /// <summary>
    /// The same product over images of one long row where pixels do not mix (1 x 1, stride 1, no padding): rows of a few
    /// pixels cost more to handle than to multiply.
    /// </summary>
    public Conv2dGeometry Flattened() => KernelArea == 1 && Stride == 1 && Padding == 0
        ? new Conv2dGeometry(N, C, 1, H * W, O, Kernel, Stride, Padding, Dilation, Groups)
        : this;

    /// <summary>For stride 1: the convolution from dy to dx, with a kernel turned by 180 degrees.</summary>
    public Conv2dGeometry Adjoint() => new(
        N, O, OH, OW, C, Kernel, Stride,
        new Pair((Dilation.Height * (Kernel.Height - 1)) - Padding.Height, (Dilation.Width * (Kernel.Width - 1)) - Padding.Width),
        Dilation, Groups);

    /// <summary>Checks the inputs of an operation and takes their sizes.</summary>
    /// <exception cref="ArgumentException">Shapes, types or parameters that do not fit.</exception>
    public static Conv2dGeometry Of(
        string op, Tensor x, Tensor weight, Tensor? bias, Pair stride, Pair padding, Pair dilation, int groups)
    {
        Pointwise.RequireFloat(op, x);
        Pointwise.RequireSameType(op, x, weight);
        Shape s = x.Shape, w = weight.Shape;
        if (s.Rank != 4)
            throw new ArgumentException($"{op}: x has shape {s}, expected [N, C, H, W]");
        if (w.Rank != 4)
            throw new ArgumentException($"{op}: weight has shape {w}, expected [O, C / groups, kh, kw]");
        if (groups < 1 || w[0] % groups != 0 || s[1] != w[1] * groups)
        {
            throw new ArgumentException(
                $"{op}: x {s} and weight {w} do not fit {groups} groups, expected weight [O, C / groups, kh, kw] "
                + "with O a multiple of groups");
        }

        Require.Shape(op, "bias", bias, [w[0]], x);
        RequireWindow(op, s, new Pair(w[2], w[3]), stride, padding, dilation);
        return new Conv2dGeometry(s[0], s[1], s[2], s[3], w[0], new Pair(w[2], w[3]), stride, padding, dilation, groups);
    }

    /// <summary>Checks a window that slides over [N, C, H, W].</summary>
    public static void RequireWindow(string op, Shape x, Pair kernel, Pair stride, Pair padding, Pair dilation)
    {
        if (kernel.Height < 1 || kernel.Width < 1 || stride.Height < 1 || stride.Width < 1
            || dilation.Height < 1 || dilation.Width < 1 || padding.Height < 0 || padding.Width < 0)
        {
            throw new ArgumentException(
                $"{op}: kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1, "
                + $"padding {padding} at least 0");
        }

        if (x[2] + (2 * padding.Height) <= dilation.Height * (kernel.Height - 1)
            || x[3] + (2 * padding.Width) <= dilation.Width * (kernel.Width - 1))
        {
            throw new ArgumentException(
                $"{op}: kernel {kernel} with dilation {dilation} is larger than an image of {x} with padding {padding}");
        }
    }

    private static int OutputSize(int size, int kernel, int stride, int padding, int dilation) =>
        ((size + (2 * padding) - (dilation * (kernel - 1)) - 1) / stride) + 1;
}
