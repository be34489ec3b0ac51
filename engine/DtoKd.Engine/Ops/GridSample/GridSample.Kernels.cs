using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Both precisions: places and sums are computed in double. Results and the grid's gradient are shared out by positions, the
/// image's gradient by blocks of channels, each of which sees the positions in their order.
/// </summary>
internal sealed unsafe class GridSampleKernels<T> : IGridSampleKernels
    where T : unmanaged, INumber<T>
{
    // Pixels that one task reads.
    private const long Grain = 4096;
    private const int ChannelBlock = 8;

    public void Forward(SampleRule rule, Tensor x, Tensor grid, Tensor y)
    {
        T* px = x.Pointer<T>(), py = y.Pointer<T>(), pgrid = grid.Pointer<T>();
        int channels = x.Shape[1], height = x.Shape[2], width = x.Shape[3];
        long positions = grid.Shape.CountOf(1, 3), area = (long)height * width;
        ((CpuDevice)x.Device).Team.ForRange(grid.Count / 2, Blocks(channels), (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                var point = Point(rule, pgrid + (2 * i), height, width);
                long image = i / positions;
                T* plane = px + (image * channels * area), to = py + (image * channels * positions) + (i % positions);
                for (int c = 0; c < channels; c++, plane += area, to += positions)
                {
                    double sum = 0;
                    for (int k = 0; k < point.Count; k++)
                        sum += point.Weight[k] * double.CreateTruncating(plane[point.Offset[k]]);
                    *to = T.CreateTruncating(sum);
                }
            }
        });
    }

    public void BackwardImage(SampleRule rule, Tensor dy, Tensor grid, Tensor dx)
    {
        T* pdx = dx.Pointer<T>(), pdy = dy.Pointer<T>(), pgrid = grid.Pointer<T>();
        int channels = dx.Shape[1], height = dx.Shape[2], width = dx.Shape[3];
        int blocks = (channels + ChannelBlock - 1) / ChannelBlock;
        long positions = grid.Shape.CountOf(1, 3), area = (long)height * width;
        ((CpuDevice)dx.Device).Team.For(checked(dx.Shape[0] * blocks), task =>
        {
            int image = task / blocks, first = task % blocks * ChannelBlock, last = Math.Min(channels, first + ChannelBlock);
            for (long i = 0; i < positions; i++)
            {
                var point = Point(rule, pgrid + (2 * ((image * positions) + i)), height, width);
                for (int c = first; c < last; c++)
                {
                    long plane = ((long)image * channels) + c;
                    T* to = pdx + (plane * area);
                    double slope = double.CreateTruncating(pdy[(plane * positions) + i]);
                    for (int k = 0; k < point.Count; k++)
                        to[point.Offset[k]] += T.CreateTruncating(point.Weight[k] * slope);
                }
            }
        });
    }

    public void BackwardGrid(SampleRule rule, Tensor dy, Tensor x, Tensor grid, Tensor dgrid)
    {
        T* px = x.Pointer<T>(), pdy = dy.Pointer<T>(), pgrid = grid.Pointer<T>(), pdgrid = dgrid.Pointer<T>();
        int channels = x.Shape[1], height = x.Shape[2], width = x.Shape[3];
        long positions = grid.Shape.CountOf(1, 3), area = (long)height * width;
        ((CpuDevice)x.Device).Team.ForRange(grid.Count / 2, Blocks(channels), (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                var point = Point(rule, pgrid + (2 * i), height, width);
                long image = i / positions;
                T* plane = px + (image * channels * area), from = pdy + (image * channels * positions) + (i % positions);
                double across = 0, down = 0;
                for (int c = 0; c < channels; c++, plane += area, from += positions)
                {
                    double slope = double.CreateTruncating(*from);
                    for (int k = 0; k < point.Count; k++)
                    {
                        double value = slope * double.CreateTruncating(plane[point.Offset[k]]);
                        across += point.SlopeX[k] * value;
                        down += point.SlopeY[k] * value;
                    }
                }

                pdgrid[2 * i] = T.CreateTruncating(across);
                pdgrid[(2 * i) + 1] = T.CreateTruncating(down);
            }
        });
    }

    private static long Blocks(int channels) => Math.Max(1, Grain / Math.Max(1, 4 * channels));

    private static SamplePoint Point(SampleRule rule, T* position, int height, int width) =>
        rule.Point(double.CreateTruncating(position[0]), double.CreateTruncating(position[1]), height, width);
}
