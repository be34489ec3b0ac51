using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A thread for each result; backward a thread for each pixel, which goes over the windows that have it in their order.</summary>
internal sealed class MaxPoolGpu : IMaxPoolKernels
{
    public void Forward(PoolWindows windows, Tensor x, Tensor y, Tensor? winners) =>
        GridStride.Launch<MaxPoolForward, PoolArgs>((GpuDevice)x.Device, y.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Y = GpuDevice.View<float>(y),
            Winners = winners is null ? default : GpuDevice.View<int>(winners),
            HasWinners = winners is null ? 0 : 1,
            Sizes = new PoolSizes(windows),
        });

    public void Backward(PoolWindows windows, Tensor dy, Tensor winners, Tensor dx) =>
        GridStride.Launch<MaxPoolBackward, PoolArgs>((GpuDevice)dx.Device, dx.Count, new()
        {
            X = GpuDevice.View<float>(dx),
            Y = GpuDevice.View<float>(dy),
            Winners = GpuDevice.View<int>(winners),
            Sizes = new PoolSizes(windows),
        });
}

/// <inheritdoc cref="MaxPoolGpu"/>
internal sealed class AvgPoolGpu : IAvgPoolKernels
{
    public void Forward(PoolWindows windows, bool countIncludePad, Tensor x, Tensor y) =>
        GridStride.Launch<AvgPoolForward, PoolArgs>((GpuDevice)x.Device, y.Count, Arguments(windows, countIncludePad, x, y));

    public void Backward(PoolWindows windows, bool countIncludePad, Tensor dy, Tensor dx) =>
        GridStride.Launch<AvgPoolBackward, PoolArgs>((GpuDevice)dx.Device, dx.Count, Arguments(windows, countIncludePad, dx, dy));

    private static PoolArgs Arguments(PoolWindows windows, bool countIncludePad, Tensor x, Tensor y) => new()
    {
        X = GpuDevice.View<float>(x),
        Y = GpuDevice.View<float>(y),
        CountsPadding = countIncludePad ? 1 : 0,
        Sizes = new PoolSizes(windows),
    };
}

/// <summary>The arguments of all kernels of pools; the backward ones have the gradients in the places of x and y.</summary>
internal struct PoolArgs
{
    public ArrayView<float> X, Y;
    public ArrayView<int> Winners;
    public int HasWinners, CountsPadding;
    public PoolSizes Sizes;
}

/// <summary>The windows of planes.</summary>
internal struct PoolSizes(PoolWindows windows)
{
    public int Inputs = checked((int)(windows.Planes * windows.InputArea));
    public int Outputs = checked((int)(windows.Planes * windows.OutputArea));
    public PoolRule H = windows.H.Rule, W = windows.W.Rule;
}

/// <summary>An element of planes.</summary>
internal readonly record struct PoolPlace(int Plane, int Row, int Column)
{
    public static PoolPlace Of(int element, int height, int width)
    {
        int line = element / width, plane = line / height;
        return new(plane, line - (plane * height), element - (line * width));
    }
}

internal readonly struct MaxPoolForward : IKernel<PoolArgs>
{
    public static void Run(PoolArgs args)
    {
        PoolRule h = args.Sizes.H, w = args.Sizes.W;
        for (int i = GridStride.First; i < args.Sizes.Outputs; i += GridStride.Step)
        {
            var (plane, row, column) = PoolPlace.Of(i, h.Windows, w.Windows);
            int first = plane * h.Pixels * w.Pixels, endH = h.End(row), startW = w.Start(column), endW = w.End(column), winner = -1;
            float max = float.NegativeInfinity;
            for (int a = h.Start(row); a < endH; a += h.Step)
            {
                for (int b = startW; b < endW; b += w.Step)
                {
                    int pixel = (a * w.Pixels) + b;
                    float value = args.X[first + pixel];
                    // The last: not a number.
                    if (value > max || winner < 0 || !(value <= float.PositiveInfinity))
                        (max, winner) = (value, pixel);
                }
            }

            args.Y[i] = max;
            if (args.HasWinners != 0)
                args.Winners[i] = winner;
        }
    }
}

internal readonly struct MaxPoolBackward : IKernel<PoolArgs>
{
    public static void Run(PoolArgs args)
    {
        PoolRule h = args.Sizes.H, w = args.Sizes.W;
        for (int i = GridStride.First; i < args.Sizes.Inputs; i += GridStride.Step)
        {
            var (plane, row, column) = PoolPlace.Of(i, h.Pixels, w.Pixels);
            int pixel = (row * w.Pixels) + column, lastH = h.LastWith(row), firstW = w.FirstWith(column), lastW = w.LastWith(column);
            float sum = args.X[i];
            for (int a = h.FirstWith(row); a <= lastH; a++)
            {
                int from = ((plane * h.Windows) + a) * w.Windows;
                for (int b = firstW; b <= lastW; b++)
                {
                    if (args.Winners[from + b] == pixel)
                        sum += args.Y[from + b];
                }
            }

            args.X[i] = sum;
        }
    }
}

internal readonly struct AvgPoolForward : IKernel<PoolArgs>
{
    public static void Run(PoolArgs args)
    {
        PoolRule h = args.Sizes.H, w = args.Sizes.W;
        for (int i = GridStride.First; i < args.Sizes.Outputs; i += GridStride.Step)
        {
            var (plane, row, column) = PoolPlace.Of(i, h.Windows, w.Windows);
            int first = plane * h.Pixels * w.Pixels, endH = h.End(row), startW = w.Start(column), endW = w.End(column);
            float sum = 0;
            for (int a = h.Start(row); a < endH; a++)
            {
                for (int b = startW; b < endW; b++)
                    sum += args.X[first + (a * w.Pixels) + b];
            }

            args.Y[i] = sum / (Size(h, row, args.CountsPadding) * Size(w, column, args.CountsPadding));
        }
    }

    public static int Size(PoolRule rule, int window, int countsPadding) =>
        countsPadding != 0 ? rule.PaddedSize(window) : rule.End(window) - rule.Start(window);
}

internal readonly struct AvgPoolBackward : IKernel<PoolArgs>
{
    public static void Run(PoolArgs args)
    {
        PoolRule h = args.Sizes.H, w = args.Sizes.W;
        for (int i = GridStride.First; i < args.Sizes.Inputs; i += GridStride.Step)
        {
            var (plane, row, column) = PoolPlace.Of(i, h.Pixels, w.Pixels);
            int lastH = h.LastWith(row), firstW = w.FirstWith(column), lastW = w.LastWith(column);
            float sum = args.X[i];
            for (int a = h.FirstWith(row); a <= lastH; a++)
            {
                int from = ((plane * h.Windows) + a) * w.Windows, size = AvgPoolForward.Size(h, a, args.CountsPadding);
                for (int b = firstW; b <= lastW; b++)
                    sum += args.Y[from + b] / (size * AvgPoolForward.Size(w, b, args.CountsPadding));
            }

            args.X[i] = sum;
        }
    }
}
