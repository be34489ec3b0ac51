namespace DtoKd.Engine;

/// <summary>The windows of a pooling operation along both axes of images [N, C, H, W].</summary>
internal sealed record PoolWindows(Shape Input, PoolAxis H, PoolAxis W)
{
    /// <summary>The shape of the result.</summary>
    public Shape Output => [Input[0], Input[1], H.Count, W.Count];

    /// <summary>Images times channels.</summary>
    public long Planes => (long)Input[0] * Input[1];

    /// <summary>Pixels of one image.</summary>
    public long InputArea => (long)Input[2] * Input[3];

    /// <summary>Pixels of one result.</summary>
    public long OutputArea => (long)H.Count * W.Count;

    /// <summary>Windows of one size that slide over the image.</summary>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or parameters that leave no window or an empty one.</exception>
    public static PoolWindows Sliding(string op, Tensor x, Pair kernel, Pair stride, Pair padding, Pair dilation, bool ceilMode)
    {
        RequireImages(op, x);
        Conv2dGeometry.RequireWindow(op, x.Shape, kernel, stride, padding, dilation);
        if (2 * padding.Height > (dilation.Height * (kernel.Height - 1)) + 1
            || 2 * padding.Width > (dilation.Width * (kernel.Width - 1)) + 1)
        {
            throw new ArgumentException($"{op}: padding {padding} is more than half of kernel {kernel} with dilation {dilation}");
        }

        return new PoolWindows(
            x.Shape,
            PoolAxis.Sliding(x.Shape[2], kernel.Height, stride.Height, padding.Height, dilation.Height, ceilMode),
            PoolAxis.Sliding(x.Shape[3], kernel.Width, stride.Width, padding.Width, dilation.Width, ceilMode));
    }

    /// <summary>As many windows as asked for, which together cover the image.</summary>
    /// <exception cref="ArgumentException">Not [N, C, H, W], an empty image, or fewer than one window.</exception>
    public static PoolWindows Adaptive(string op, Tensor x, Pair outputSize)
    {
        RequireImages(op, x);
        if (outputSize.Height < 1 || outputSize.Width < 1 || x.Shape[2] == 0 || x.Shape[3] == 0)
            throw new ArgumentException($"{op}: output size {outputSize} of x {x.Shape}, expected at least 1 of 1 pixel");
        return new PoolWindows(
            x.Shape, PoolAxis.Adaptive(x.Shape[2], outputSize.Height), PoolAxis.Adaptive(x.Shape[3], outputSize.Width));
    }

    public static void RequireImages(string op, Tensor x)
    {
        Pointwise.RequireFloat(op, x);
        if (x.Shape.Rank != 4)
            throw new ArgumentException($"{op}: x has shape {x.Shape}, expected [N, C, H, W]");
    }
}

/// <summary>
/// The windows along one axis: window i reads the elements Start[i], Start[i] + Step, ... below End[i], all inside the image.
/// </summary>
internal sealed record PoolAxis(int[] Start, int[] End, int[] PaddedSize, int Step)
{
    /// <summary>The number of windows.</summary>
    public int Count => Start.Length;

    /// <summary>The number of elements of a window that lie inside the image.</summary>
    public int Size(int window) => Math.Max(0, (End[window] - Start[window] + Step - 1) / Step);

    public static PoolAxis Sliding(int size, int kernel, int stride, int padding, int dilation, bool ceilMode)
    {
        int free = size + (2 * padding) - (dilation * (kernel - 1)) - 1;
        int count = (ceilMode ? (free + stride - 1) / stride : free / stride) + 1;
        // A window that would begin in the padding behind the image is left out.
        if (ceilMode && (count - 1) * stride >= size + padding)
            count--;
        var axis = new PoolAxis(new int[count], new int[count], new int[count], dilation);
        for (int i = 0; i < count; i++)
        {
            int start = (i * stride) - padding;
            int end = start + (dilation * (kernel - 1)) + 1;
            axis.PaddedSize[i] = Math.Min(end, size + padding) - start;
            axis.Start[i] = start < 0 ? start + ((-start + dilation - 1) / dilation * dilation) : start;
            axis.End[i] = Math.Min(end, size);
        }

        return axis;
    }

    public static PoolAxis Adaptive(int size, int count)
    {
        var axis = new PoolAxis(new int[count], new int[count], new int[count], 1);
        for (int i = 0; i < count; i++)
        {
            axis.Start[i] = (int)((long)i * size / count);
            axis.End[i] = (int)((((long)(i + 1) * size) + count - 1) / count);
            axis.PaddedSize[i] = axis.End[i] - axis.Start[i];
        }

        return axis;
    }
}
