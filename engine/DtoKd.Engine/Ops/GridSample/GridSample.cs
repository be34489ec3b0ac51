namespace DtoKd.Engine;

/// <summary>How <see cref="Op.GridSample"/> finds a value between pixels.</summary>
public enum SampleMode
{
    /// <summary>Linear in each axis between the two next pixels.</summary>
    Bilinear,

    /// <summary>The next pixel; halves go to the even one. No gradient flows to the grid.</summary>
    Nearest,
}

/// <summary>What <see cref="Op.GridSample"/> finds outside of the image.</summary>
public enum SamplePadding
{
    /// <summary>Zeros.</summary>
    Zeros,

    /// <summary>The pixel at the edge.</summary>
    Border,

    /// <summary>The image mirrored at its edges, as often as needed.</summary>
    Reflection,
}

public static partial class Op
{
    /// <summary>
    /// Images read at given positions: y[n, c, i, j] = x[n, c] at grid[n, i, j] (Jaderberg et al., "Spatial Transformer
    /// Networks", 2015).
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="grid">
    /// [N, OH, OW, 2]: positions (across, down), where -1 is one edge of the image and 1 the other. A position that is no number
    /// lies outside of the image.
    /// </param>
    /// <param name="mode">How to interpolate.</param>
    /// <param name="padding">What is outside of the image.</param>
    /// <param name="alignCorners">Whether -1 and 1 are the centres of the pixels at the edge instead of the edges.</param>
    /// <returns>[N, C, OH, OW].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], an empty image, or a grid that does not fit it.</exception>
    public static Tensor GridSample(
        Tensor x,
        Tensor grid,
        SampleMode mode = SampleMode.Bilinear,
        SamplePadding padding = SamplePadding.Zeros,
        bool alignCorners = false)
    {
        const string op = "grid_sample";
        var step = Step.Of(op, x, grid);
        PoolWindows.RequireImages(op, x);
        if (x.Shape[2] == 0 || x.Shape[3] == 0)
            throw new ArgumentException($"{op}: x {x.Shape} has images without pixels");
        if (grid.Shape.Rank != 4 || grid.Shape[0] != x.Shape[0] || grid.Shape[3] != 2 || grid.DType != x.DType)
            throw new ArgumentException($"{op}: got grid {grid}, expected {x.DType} [{x.Shape[0]}, OH, OW, 2] for x {x.Shape}");
        x = Contiguous(x);
        grid = Contiguous(grid);
        var y = step.New([x.Shape[0], x.Shape[1], grid.Shape[1], grid.Shape[2]], x.DType, op);
        var rule = new SampleRule(mode, padding, alignCorners);
        GridSampleKernels.For(x).Forward(rule, x, grid, y);
        if (step.Tracks(x, grid))
            step.Record(y, new GridSampleNode(rule, x, grid), x, grid);
        return y;
    }

    internal static readonly KernelTable<IGridSampleKernels> GridSampleKernels =
        new(new GridSampleKernels<double>(), new GridSampleKernels<float>(), new Gpu.GridSampleGpu());

    /// <summary>
    /// A pixel's gradient is the sum over the positions that read it, by their weights; a position's is the slope of what lies
    /// there.
    /// </summary>
    private sealed class GridSampleNode : Node
    {
        private readonly SampleRule _rule;
        private readonly Tensor _x;
        private readonly Tensor _grid;

        public GridSampleNode(SampleRule rule, Tensor x, Tensor grid)
        {
            _rule = rule;
            _x = Save(x);
            _grid = Save(grid);
        }

        public override string Name => "grid_sample";

        public override void Backward(Tensor dy, Gradients into)
        {
            var kernels = Op.GridSampleKernels.For(dy);
            dy = Contiguous(dy);
            if (into.Wants(0))
            {
                var (dx, accumulate) = into.Target(0);
                if (!accumulate)
                    dx.Clear();
                kernels.BackwardImage(_rule, dy, _grid, dx);
            }

            if (into.Wants(1))
            {
                var dgrid = into.Step.New(_grid.Shape, _grid.DType, "grid_sample");
                kernels.BackwardGrid(_rule, dy, _x, _grid, dgrid);
                into.Give(1, dgrid);
            }
        }
    }
}

/// <summary>Kernels of <see cref="Op.GridSample"/>.</summary>
internal interface IGridSampleKernels
{
    /// <summary>y = x at the grid's positions.</summary>
    void Forward(SampleRule rule, Tensor x, Tensor grid, Tensor y);

    /// <summary>dx += dy, spread over the pixels that were read.</summary>
    void BackwardImage(SampleRule rule, Tensor dy, Tensor grid, Tensor dx);

    /// <summary>dgrid = the sum over the channels of dy times the slope of x.</summary>
    void BackwardGrid(SampleRule rule, Tensor dy, Tensor x, Tensor grid, Tensor dgrid);
}
