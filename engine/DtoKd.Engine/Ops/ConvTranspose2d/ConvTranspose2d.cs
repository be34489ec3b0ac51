namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Transposed convolution: each pixel of x adds its weights to a window of y, at every <paramref name="stride"/>-th pixel. It
    /// is the input's gradient of <see cref="Conv2d"/> with the same parameters, and runs the same kernels.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="weight">[C, O / groups, kh, kw].</param>
    /// <param name="bias">[O], or null.</param>
    /// <param name="stride">Pixels of y from one window to the next (s); 1 when null.</param>
    /// <param name="padding">Pixels of y that are cut off on each side (p); 0 when null.</param>
    /// <param name="outputPadding">Rows and columns that are added at y's end (q), fewer than the stride; 0 when null.</param>
    /// <param name="dilation">Pixels of y from one element of the window to the next (d); 1 when null.</param>
    /// <param name="groups">Input channels of one group add to the output channels of that group only.</param>
    /// <returns>[N, O, OH, OW] with OH = (H - 1) s - 2p + d (kh - 1) + q + 1.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a result without pixels.</exception>
    public static Tensor ConvTranspose2d(
        Tensor x,
        Tensor weight,
        Tensor? bias = null,
        Pair? stride = null,
        Pair? padding = null,
        Pair? outputPadding = null,
        Pair? dilation = null,
        int groups = 1)
    {
        var step = Step.Of("conv_transpose2d", x, weight, bias);
        var geometry = TransposedGeometry(x, weight, stride ?? 1, padding ?? 0, outputPadding ?? 0, dilation ?? 1, groups);
        Require.Shape("conv_transpose2d", "bias", bias, [geometry.C], x);
        (x, weight) = (Contiguous(x), Contiguous(weight));
        var y = step.New(geometry.Input, x.DType, "conv_transpose2d");
        Conv2dKernels.For(x).InputGradient(geometry, x, weight, y, accumulate: false);
        if (step.Tracks(x, weight))
            step.Record(y, new ConvTranspose2dNode(geometry, x, weight), x, weight);
        return bias is null ? y : Add(y, Reshape(bias.Step is null ? step.Use(bias) : bias, [geometry.C, 1, 1]));
    }

    /// <summary>The convolution that would make x from y.</summary>
    private static Conv2dGeometry TransposedGeometry(
        Tensor x, Tensor weight, Pair stride, Pair padding, Pair outputPadding, Pair dilation, int groups)
    {
        const string Name = "conv_transpose2d";
        PoolWindows.RequireImages(Name, x);
        Pointwise.RequireSameType(Name, x, weight);
        Shape s = x.Shape, w = weight.Shape;
        if (w.Rank != 4 || groups < 1 || w[0] != s[1] || w[0] % groups != 0)
        {
            throw new ArgumentException(
                $"{Name}: weight {w} does not fit x {s} with {groups} groups, expected [C, O / groups, kh, kw] "
                + "with C a multiple of groups");
        }

        if (outputPadding.Height < 0 || outputPadding.Height >= stride.Height
            || outputPadding.Width < 0 || outputPadding.Width >= stride.Width)
        {
            throw new ArgumentException($"{Name}: output padding {outputPadding}, expected less than stride {stride}");
        }

        int height = Size(s[2], w[2], stride.Height, padding.Height, outputPadding.Height, dilation.Height);
        int width = Size(s[3], w[3], stride.Width, padding.Width, outputPadding.Width, dilation.Width);
        if (height < 1 || width < 1)
            throw new ArgumentException($"{Name}: x {s}, weight {w} and padding {padding} leave {height} x {width} pixels");
        var kernel = new Pair(w[2], w[3]);
        Shape y = [s[0], w[1] * groups, height, width];
        Conv2dGeometry.RequireWindow(Name, y, kernel, stride, padding, dilation);
        return new Conv2dGeometry(y[0], y[1], height, width, w[0], kernel, stride, padding, dilation, groups);

        static int Size(int size, int kernel, int stride, int padding, int outputPadding, int dilation) =>
            ((size - 1) * stride) - (2 * padding) + (dilation * (kernel - 1)) + outputPadding + 1;
    }

    private sealed class ConvTranspose2dNode : Node
    {
        private readonly Conv2dGeometry _geometry;
        private readonly Tensor _x;
        private readonly Tensor _weight;

        public ConvTranspose2dNode(Conv2dGeometry geometry, Tensor x, Tensor weight)
        {
            _geometry = geometry;
            _x = Save(x);
            _weight = Save(weight);
        }

        public override string Name => "conv_transpose2d";

        public override long MultiplyAdds => _geometry.MultiplyAdds;

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var kernels = Conv2dKernels.For(dy);
            if (into.Wants(0))
            {
                var (dx, accumulate) = into.Target(0);
                kernels.Forward(_geometry, dy, _weight, null, dx, accumulate);
            }

            if (into.Wants(1))
            {
                var (dw, accumulate) = into.Target(1);
                kernels.WeightGradient(_geometry, dy, _x, dw, accumulate);
            }
        }
    }
}
