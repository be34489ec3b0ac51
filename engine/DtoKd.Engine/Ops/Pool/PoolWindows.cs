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
internal sealed class PoolAxis
{
    private PoolAxis(PoolRule rule)
    {
        Rule = rule;
        Start = new int[rule.Windows];
        End = new int[rule.Windows];
        PaddedSize = new int[rule.Windows];
        for (int i = 0; i < rule.Windows; i++)
            (Start[i], End[i], PaddedSize[i]) = (rule.Start(i), rule.End(i), rule.PaddedSize(i));
    }

    /// <summary>What the tables are made from.</summary>
    public PoolRule Rule { get; }

    public int[] Start { get; }

    public int[] End { get; }

    public int[] PaddedSize { get; }

    public int Step => Rule.Step;

    /// <summary>The number of windows.</summary>
    public int Count => Rule.Windows;

    /// <summary>The number of elements of a window that lie inside the image.</summary>
    public int Size(int window) => Math.Max(0, (End[window] - Start[window] + Step - 1) / Step);

    public static PoolAxis Sliding(int size, int kernel, int stride, int padding, int dilation, bool ceilMode)
    {
        int free = size + (2 * padding) - (dilation * (kernel - 1)) - 1;
        int count = (ceilMode ? (free + stride - 1) / stride : free / stride) + 1;
        // A window that would begin in the padding behind the image is left out.
        if (ceilMode && (count - 1) * stride >= size + padding)
            count--;
        return new(new() { Pixels = size, Windows = count, Extent = (dilation * (kernel - 1)) + 1, Stride = stride, Padding = padding, Step = dilation });
    }

    public static PoolAxis Adaptive(int size, int count) => new(new() { Pixels = size, Windows = count, Step = 1 });
}

/// <summary>Where the windows along one axis lie, in numbers that a kernel can compute with.</summary>
internal struct PoolRule
{
    /// <summary>The image's size, and how many windows there are.</summary>
    public int Pixels, Windows;

    /// <summary>From a window's first element to behind its last one, and from one window to the next: 0 if they are adaptive.</summary>
    public int Extent, Stride;

    /// <summary>What is added on each side, and from one element of a window to the next.</summary>
    public int Padding, Step;

    /// <summary>The first element of a window inside the image.</summary>
    public readonly int Start(int window)
    {
        if (Stride == 0)
            return (int)((long)window * Pixels / Windows);
        int start = (window * Stride) - Padding;
        return start < 0 ? start + ((-start + Step - 1) / Step * Step) : start;
    }

    /// <summary>Behind the last element of a window inside the image.</summary>
    public readonly int End(int window)
    {
        if (Stride == 0)
            return (int)((((long)(window + 1) * Pixels) + Windows - 1) / Windows);
        int end = (window * Stride) - Padding + Extent;
        return end < Pixels ? end : Pixels;
    }

    /// <summary>The elements of a window of step 1 that lie inside the image or its padding.</summary>
    public readonly int PaddedSize(int window)
    {
        if (Stride == 0)
            return End(window) - Start(window);
        int left = Pixels + (2 * Padding) - (window * Stride);
        return Extent < left ? Extent : left;
    }

    /// <summary>The first window that may have a pixel.</summary>
    public readonly int FirstWith(int pixel)
    {
        if (Stride == 0)
            return (int)((long)pixel * Windows / Pixels);
        int before = pixel + Padding - Extent + 1;
        return before <= 0 ? 0 : (before + Stride - 1) / Stride;
    }

    /// <summary>The last window that may have a pixel.</summary>
    public readonly int LastWith(int pixel)
    {
        int last = Stride == 0
            ? (int)((((long)(pixel + 1) * Windows) + Pixels - 1) / Pixels) - 1
            : (pixel + Padding) / Stride;
        return last < Windows ? last : Windows - 1;
    }
}
