using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Data;

namespace DtoKd.Training.Loop;

/// <summary>Top-1 accuracy of a network.</summary>
public static class Evaluation
{
    /// <summary>The share of images whose class has the largest logit, in 0 .. 1.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="model">The network.</param>
    /// <param name="data">The images and their classes.</param>
    /// <param name="batchSize">Images at a time.</param>
    /// <param name="cancellation">Checked between batches.</param>
    public static double Top1(
        Device device, VisionModel model, ImageDataset data, int batchSize, CancellationToken cancellation = default)
    {
        var loader = new BatchLoader(data, new BatchPlan(data.Count, batchSize, seed: 0, shuffle: false));
        var format = data.Format;
        long right = 0;
        for (int batch = 0; batch < loader.Plan.BatchesPerEpoch; batch++)
        {
            cancellation.ThrowIfCancellationRequested();
            var position = new BatchPosition(0, batch);
            using var step = Step.Evaluation(device);
            int size = loader.SizeOf(position);
            var images = step.Empty([size, format.Channels, format.Height, format.Width]);
            var labels = new long[size];
            loader.Load(position, images.Span<float>(), labels);
            var answers = Op.ArgMax(model.Forward(images).Prediction, 1).ToArray<long>();
            for (int i = 0; i < size; i++)
                right += answers[i] == labels[i] ? 1 : 0;
        }

        return (double)right / data.Count;
    }
}
