using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The windows that a convolution of these parameters sees, as columns: y[n, (c kh + a) kw + b, i OW + j] =
    /// x[n, c, i s - p + a d, j s - p + b d], zero outside.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="kernel">The window's size (kh, kw).</param>
    /// <param name="stride">Pixels from one window to the next (s); 1 when null.</param>
    /// <param name="padding">Zeros around the image (p) on each side; 0 when null.</param>
    /// <param name="dilation">Pixels from one element of the window to the next (d); 1 when null.</param>
    /// <returns>[N, C kh kw, OH OW].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or a window larger than the padded image.</exception>
    public static Tensor Unfold(Tensor x, Pair kernel, Pair? stride = null, Pair? padding = null, Pair? dilation = null)
    {
        PoolWindows.RequireImages("unfold", x);
        Pair s = stride ?? 1, p = padding ?? 0, d = dilation ?? 1;
        Conv2dGeometry.RequireWindow("unfold", x.Shape, kernel, s, p, d);
        var step = Step.Of("unfold", x);
        if (p != 0)
            x = Pad(x, [p.Width, p.Width, p.Height, p.Height]);
        int outH = ((x.Shape[2] - (d.Height * (kernel.Height - 1)) - 1) / s.Height) + 1;
        int outW = ((x.Shape[3] - (d.Width * (kernel.Width - 1)) - 1) / s.Width) + 1;
        int n = x.Shape[0], c = x.Shape[1];

        // The windows overlap, which does no harm to a view that is only read.
        var strides = x.Strides;
        long rows = strides[2], columns = strides[3];
        (strides[2], strides[3]) = (rows * d.Height, columns * d.Width);
        (strides[4], strides[5]) = (rows * s.Height, columns * s.Width);
        Shape windows = [n, c, kernel.Height, kernel.Width, outH, outW];
        using var view = x.View(windows, strides, 0, "unfold");
        var y = step.New(windows, x.DType, "unfold");
        Copy(view, y, accumulate: false);
        if (step.Tracks(x))
            step.Record(y, new UnfoldNode(s, d), x);
        return Reshape(y, [n, c * kernel.Height * kernel.Width, outH * outW]);
    }

    internal static OpDeclaration UnfoldDeclaration => new(nameof(Unfold))
    {
        Samples =
        [
            new("3 x 3", [Float(2, 3, 4, 5)], t => Unfold(t[0], 3, padding: 1)),
            new("patches", [Float(2, 2, 4, 6)], t => Unfold(t[0], 2, 2)),
            new("uneven", [Float(1, 2, 7, 6)], t => Unfold(t[0], (2, 3), (1, 2), (0, 1), (2, 1))),
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4)], t => Unfold(t[0], 2), "expected [N, C, H, W]"),
            new("kernel", [Float(1, 3, 4, 4)], t => Unfold(t[0], 5), "kernel (5, 5) with dilation (1, 1) is larger"),
        ],
    };

    /// <summary>Adds one element of all windows at a time: their pixels are all different.</summary>
    private sealed class UnfoldNode(Pair stride, Pair dilation) : Node
    {
        public override string Name => "unfold";

        public override void Backward(Tensor dy, Gradients into)
        {
            var (dx, accumulate) = into.Target(0);
            if (!accumulate)
                dx.Clear();
            Shape pixels = [dy.Shape[0], dy.Shape[1], dy.Shape[4], dy.Shape[5]];
            for (int a = 0; a < dy.Shape[2]; a++)
            {
                for (int b = 0; b < dy.Shape[3]; b++)
                {
                    Strides from = dy.Strides, to = dx.Strides;
                    (from[2], from[3]) = (dy.Strides[4], dy.Strides[5]);
                    long fromOffset = (a * dy.Strides[2]) + (b * dy.Strides[3]);
                    long toOffset = (a * dilation.Height * to[2]) + (b * dilation.Width * to[3]);
                    (to[2], to[3]) = (to[2] * stride.Height, to[3] * stride.Width);
                    using var source = dy.View(pixels, from, fromOffset, Name);
                    using var target = dx.View(pixels, to, toOffset, Name);
                    Copy(source, target, accumulate: true);
                }
            }
        }
    }
}
