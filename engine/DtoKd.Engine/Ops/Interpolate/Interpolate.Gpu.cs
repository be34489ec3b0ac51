using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A thread for each new pixel sums the old ones that it covers; backward a thread for each old pixel sums the new ones that
/// cover it, which are neighbours. The tables of weights are copied to the device in each call.
/// </summary>
internal sealed class ResampleGpu : IResampleKernels
{
    public void Forward(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y) =>
        Launch<ResampleForward>(step, h, w, x, y, y.Count);

    public void Backward(Step step, ResampleAxis h, ResampleAxis w, Tensor dy, Tensor dx) =>
        Launch<ResampleBackward>(step, h, w, dx, dy, dx.Count);

    private static void Launch<TKernel>(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y, long count)
        where TKernel : struct, IKernel<ResampleArgs>
    {
        if (count == 0)
            return;
        int[] places = [.. Places(h), .. Places(w)];
        float[] weights = [.. h.Singles(), .. w.Singles()];
        GridStride.Launch<TKernel, ResampleArgs>((GpuDevice)x.Device, count, new()
        {
            X = GpuDevice.View<float>(x),
            Y = GpuDevice.View<float>(y),
            Places = GpuDevice.View<int>(step.From(places, [places.Length])),
            Weights = GpuDevice.View<float>(step.From(weights, [weights.Length])),
            Count = checked((int)count),
            H = new() { Size = h.Size, Count = h.Count, Taps = h.Taps },
            W = new() { Size = w.Size, Count = w.Count, Taps = w.Taps, Places = 2 * (h.Count + h.Size), Weights = h.Count * h.Taps },
        });
    }

    /// <summary>The first old pixel of each new one and behind the last; the first new pixel of each old one and behind the last.</summary>
    private static int[] Places(ResampleAxis axis)
    {
        int[] first = new int[axis.Size], end = new int[axis.Size];
        for (int i = axis.Count - 1; i >= 0; i--)
        {
            for (int pixel = axis.Start[i]; pixel < axis.Start[i] + axis.Length[i]; pixel++)
            {
                first[pixel] = i;
                end[pixel] = Math.Max(end[pixel], i + 1);
            }
        }

        return [.. axis.Start, .. axis.Start.Zip(axis.Length, (start, length) => start + length), .. first, .. end];
    }
}

/// <summary>The arguments of both kernels; the backward one has the gradients in the places of x and y.</summary>
internal struct ResampleArgs
{
    public ArrayView<float> X, Y, Weights;
    public ArrayView<int> Places;

    /// <summary>The number of elements that are computed.</summary>
    public int Count;

    public ResampleSpan H, W;
}

/// <summary>Old and new pixels of an axis, and where its tables start.</summary>
internal struct ResampleSpan
{
    public int Size, Count, Taps, Places, Weights;

    /// <summary>The first old pixel that a new one covers.</summary>
    public readonly int Start(ArrayView<int> places, int pixel) => places[Places + pixel];

    /// <summary>Behind the last old pixel that a new one covers.</summary>
    public readonly int End(ArrayView<int> places, int pixel) => places[Places + Count + pixel];

    /// <summary>The first new pixel that covers an old one.</summary>
    public readonly int First(ArrayView<int> places, int pixel) => places[Places + (2 * Count) + pixel];

    /// <summary>Behind the last new pixel that covers an old one.</summary>
    public readonly int Behind(ArrayView<int> places, int pixel) => places[Places + (2 * Count) + Size + pixel];

    /// <summary>The weight of an old pixel in a new one.</summary>
    public readonly float Weight(ResampleArgs args, int pixel, int old) => args.Weights[Weights + (pixel * Taps) + old - args.Places[Places + pixel]];
}

internal readonly struct ResampleForward : IKernel<ResampleArgs>
{
    public static void Run(ResampleArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.W.Count, column = i - (line * args.W.Count);
            int plane = line / args.H.Count, row = line - (plane * args.H.Count);
            int top = args.H.Start(args.Places, row), bottom = args.H.End(args.Places, row);
            int left = args.W.Start(args.Places, column), right = args.W.End(args.Places, column);
            float sum = 0;
            for (int a = top; a < bottom; a++)
            {
                int from = ((plane * args.H.Size) + a) * args.W.Size;
                float along = 0;
                for (int b = left; b < right; b++)
                    along = Ptx.Fma(args.W.Weight(args, column, b), args.X[from + b], along);
                sum = Ptx.Fma(args.H.Weight(args, row, a), along, sum);
            }

            args.Y[i] = sum;
        }
    }
}

internal readonly struct ResampleBackward : IKernel<ResampleArgs>
{
    public static void Run(ResampleArgs args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            int line = i / args.W.Size, column = i - (line * args.W.Size);
            int plane = line / args.H.Size, row = line - (plane * args.H.Size);
            int top = args.H.First(args.Places, row), bottom = args.H.Behind(args.Places, row);
            int left = args.W.First(args.Places, column), right = args.W.Behind(args.Places, column);
            float sum = args.X[i];
            for (int a = top; a < bottom; a++)
            {
                int from = ((plane * args.H.Count) + a) * args.W.Count;
                float along = 0;
                for (int b = left; b < right; b++)
                    along = Ptx.Fma(args.W.Weight(args, b, column), args.Y[from + b], along);
                sum = Ptx.Fma(args.H.Weight(args, a, row), along, sum);
            }

            args.X[i] = sum;
        }
    }
}
