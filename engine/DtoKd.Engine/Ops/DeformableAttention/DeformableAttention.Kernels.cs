using System.Numerics;
using System.Numerics.Tensors;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Both precisions. One task is a head of an image: heads share no pixel, and the queries of a head add to it in their order.
/// Locations and their gradients are computed in double, rows of channels in vectors.
/// </summary>
internal sealed unsafe class DeformableAttentionKernels<T> : IDeformableAttentionKernels
    where T : unmanaged, INumber<T>, IRootFunctions<T>
{
    public void Forward(DeformableLevels levels, Tensor value, Tensor locations, Tensor weights, Tensor y)
    {
        var layout = new Layout(value.Shape, weights.Shape);
        T* pvalue = value.Pointer<T>(), plocations = locations.Pointer<T>(), pweights = weights.Pointer<T>(), py = y.Pointer<T>();
        y.Clear();
        ((CpuDevice)value.Device).Team.For(layout.Tasks, task =>
        {
            var (image, head) = Math.DivRem(task, layout.Heads);
            for (int query = 0; query < layout.Queries; query++)
            {
                long row = layout.Row(image, query, head), sample = row * layout.Levels * layout.Points;
                var sum = new Span<T>(py + (row * layout.Channels), layout.Channels);
                for (int level = 0; level < layout.Levels; level++)
                for (int p = 0; p < layout.Points; p++, sample++)
                {
                    var point = Point(levels, level, plocations + (2 * sample));
                    double weight = double.CreateTruncating(pweights[sample]);
                    for (int k = 0; k < point.Count; k++)
                    {
                        long pixel = layout.Pixel(image, levels.Start(level) + point.Offset[k], head);
                        TensorPrimitives.MultiplyAdd(
                            new ReadOnlySpan<T>(pvalue + pixel, layout.Channels),
                            T.CreateTruncating(weight * point.Weight[k]),
                            sum,
                            sum);
                    }
                }
            }
        });
    }

    public void Backward(
        DeformableLevels levels,
        Tensor dy,
        Tensor value,
        Tensor locations,
        Tensor weights,
        Tensor? dvalue,
        Tensor dlocations,
        Tensor dweights)
    {
        var layout = new Layout(value.Shape, weights.Shape);
        T* pvalue = value.Pointer<T>(), plocations = locations.Pointer<T>(), pweights = weights.Pointer<T>();
        T* pdy = dy.Pointer<T>(), pdlocations = dlocations.Pointer<T>(), pdweights = dweights.Pointer<T>();
        T* pdvalue = dvalue is null ? null : dvalue.Pointer<T>();
        ((CpuDevice)value.Device).Team.For(layout.Tasks, task =>
        {
            var (image, head) = Math.DivRem(task, layout.Heads);
            for (int query = 0; query < layout.Queries; query++)
            {
                long row = layout.Row(image, query, head), sample = row * layout.Levels * layout.Points;
                var slope = new ReadOnlySpan<T>(pdy + (row * layout.Channels), layout.Channels);
                for (int level = 0; level < layout.Levels; level++)
                for (int p = 0; p < layout.Points; p++, sample++)
                {
                    var point = Point(levels, level, plocations + (2 * sample));
                    double weight = double.CreateTruncating(pweights[sample]), read = 0, across = 0, down = 0;
                    for (int k = 0; k < point.Count; k++)
                    {
                        long pixel = layout.Pixel(image, levels.Start(level) + point.Offset[k], head);
                        double product = double.CreateTruncating(
                            TensorPrimitives.Dot(new ReadOnlySpan<T>(pvalue + pixel, layout.Channels), slope));
                        read += point.Weight[k] * product;
                        across += point.SlopeX[k] * product;
                        down += point.SlopeY[k] * product;
                        if (pdvalue is null)
                            continue;
                        var sum = new Span<T>(pdvalue + pixel, layout.Channels);
                        TensorPrimitives.MultiplyAdd(slope, T.CreateTruncating(weight * point.Weight[k]), sum, sum);
                    }

                    pdweights[sample] = T.CreateTruncating(read);
                    pdlocations[2 * sample] = T.CreateTruncating(weight * across);
                    pdlocations[(2 * sample) + 1] = T.CreateTruncating(weight * down);
                }
            }
        });
    }

    private static SamplePoint Point(DeformableLevels levels, int level, T* location) =>
        levels.Point(level, double.CreateTruncating(location[0]), double.CreateTruncating(location[1]));

    /// <summary>The sizes: value [N, S, M, D], weights [N, Q, M, L, P].</summary>
    private readonly struct Layout(Shape value, Shape weights)
    {
        public readonly int Pixels = value[1];
        public readonly int Heads = value[2];
        public readonly int Channels = value[3];
        public readonly int Queries = weights[1];
        public readonly int Levels = weights[3];
        public readonly int Points = weights[4];
        public readonly int Tasks = checked(value[0] * value[2]);

        /// <summary>A row of the result, counted in rows.</summary>
        public long Row(int image, int query, int head) => ((((long)image * Queries) + query) * Heads) + head;

        /// <summary>Where the channels of a pixel start in the value.</summary>
        public long Pixel(int image, long pixel, int head) => ((((image * (long)Pixels) + pixel) * Heads) + head) * Channels;
    }
}
