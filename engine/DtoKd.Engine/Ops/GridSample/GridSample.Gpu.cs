using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A thread for each element read. Backward, positions that read the same pixel add to it in any order: see
/// <see cref="FixedSums"/>. A position's own gradient is a thread's, over the channels in their order.
/// </summary>
internal sealed class GridSampleGpu : IGridSampleKernels
{
    public void Forward(SampleRule rule, Tensor x, Tensor grid, Tensor y) =>
        GridStride.Launch<GridSampleForward, GridSampleArgs>((GpuDevice)x.Device, y.Count, Arguments(rule, x, y, grid));

    public void BackwardImage(SampleRule rule, Tensor dy, Tensor grid, Tensor dx)
    {
        if (dx.Count == 0 || dy.Count == 0)
            return;
        var device = (GpuDevice)dx.Device;
        // A position reads a pixel once.
        var sums = new FixedSums(device, dx.Count, grid.Shape.CountOf(1, 3), dy);
        GridStride.Launch<GridSampleImage, GridSampleArgs>(device, dy.Count, Arguments(rule, dx, dy, grid) with { Image = sums.Adder });
        sums.AddTo(dx);
    }

    public void BackwardGrid(SampleRule rule, Tensor dy, Tensor x, Tensor grid, Tensor dgrid) =>
        GridStride.Launch<GridSampleGrid, GridSampleArgs>(
            (GpuDevice)x.Device, grid.Count / 2, Arguments(rule, x, dy, grid) with { DGrid = GpuDevice.View<float>(dgrid) });

    private static GridSampleArgs Arguments(SampleRule rule, Tensor x, Tensor y, Tensor grid) => new()
    {
        X = GpuDevice.View<float>(x),
        Y = GpuDevice.View<float>(y),
        Grid = GpuDevice.View<float>(grid),
        Rule = new SampleRuleGpu(rule),
        Images = x.Shape[0],
        Channels = x.Shape[1],
        Height = x.Shape[2],
        Width = x.Shape[3],
        Positions = checked((int)grid.Shape.CountOf(1, 3)),
    };
}

/// <summary>The arguments of all three kernels; the backward ones have dy for y.</summary>
internal struct GridSampleArgs
{
    public ArrayView<float> X, Y, Grid, DGrid;
    public FixedAdder Image;
    public SampleRuleGpu Rule;
    public int Images, Channels, Height, Width, Positions;

    /// <summary>What the position of an element of y reads.</summary>
    public readonly SampleTaps Point(int image, int position)
    {
        int at = 2 * ((image * Positions) + position);
        return Rule.Point(Grid[at], Grid[at + 1], Height, Width);
    }
}

internal readonly struct GridSampleForward : IKernel<GridSampleArgs>
{
    public static void Run(GridSampleArgs args)
    {
        for (int i = GridStride.First; i < args.Images * args.Channels * args.Positions; i += GridStride.Step)
        {
            int plane = i / args.Positions, position = i - (plane * args.Positions);
            var point = args.Point(plane / args.Channels, position);
            int first = plane * args.Height * args.Width;
            args.Y[i] = Term(args, first, point.A) + Term(args, first, point.B) + Term(args, first, point.C) + Term(args, first, point.D);
        }
    }

    private static float Term(GridSampleArgs args, int first, SampleTap tap) =>
        tap.Offset < 0 ? 0 : tap.Weight * args.X[first + tap.Offset];
}

internal readonly struct GridSampleImage : IKernel<GridSampleArgs>
{
    public static void Run(GridSampleArgs args)
    {
        float unit = FixedAdder.PowerOfTwo(args.Image.Exponent());
        for (int i = GridStride.First; i < args.Images * args.Channels * args.Positions; i += GridStride.Step)
        {
            int plane = i / args.Positions, position = i - (plane * args.Positions);
            var point = args.Point(plane / args.Channels, position);
            int first = plane * args.Height * args.Width;
            float slope = args.Y[i];
            Add(args, first, point.A, slope, unit);
            Add(args, first, point.B, slope, unit);
            Add(args, first, point.C, slope, unit);
            Add(args, first, point.D, slope, unit);
        }
    }

    private static void Add(GridSampleArgs args, int first, SampleTap tap, float slope, float unit)
    {
        if (tap.Offset >= 0)
            args.Image.Add(first + tap.Offset, tap.Weight * slope, unit);
    }
}

internal readonly struct GridSampleGrid : IKernel<GridSampleArgs>
{
    public static void Run(GridSampleArgs args)
    {
        for (int i = GridStride.First; i < args.Images * args.Positions; i += GridStride.Step)
        {
            int image = i / args.Positions, position = i - (image * args.Positions);
            var point = args.Point(image, position);
            float across = 0, down = 0;
            for (int c = 0; c < args.Channels; c++)
            {
                int plane = (image * args.Channels) + c, first = plane * args.Height * args.Width;
                float slope = args.Y[(plane * args.Positions) + position];
                Add(args, first, point.A, slope, ref across, ref down);
                Add(args, first, point.B, slope, ref across, ref down);
                Add(args, first, point.C, slope, ref across, ref down);
                Add(args, first, point.D, slope, ref across, ref down);
            }

            args.DGrid[2 * i] = across;
            args.DGrid[(2 * i) + 1] = down;
        }
    }

    private static void Add(GridSampleArgs args, int first, SampleTap tap, float slope, ref float across, ref float down)
    {
        if (tap.Offset < 0)
            return;
        float value = slope * args.X[first + tap.Offset];
        across = Ptx.Fma(tap.SlopeX, value, across);
        down = Ptx.Fma(tap.SlopeY, value, down);
    }
}
