using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Data;

namespace DtoKd.Training.Loop;

/// <summary>Shares of images, in 0 .. 1.</summary>
/// <param name="Top1">Those whose class has the largest logit.</param>
/// <param name="Top5">Those whose class has one of the five largest; of equal logits, the class with the smaller index is first.</param>
public sealed record Accuracy(double Top1, double Top5);

/// <summary>Accuracy of a network.</summary>
public static class Evaluation
{
    /// <summary>The share of images whose class has the largest logit, in 0 .. 1.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="model">The network.</param>
    /// <param name="data">The images and their classes.</param>
    /// <param name="batchSize">Images at a time.</param>
    /// <param name="cancellation">Checked between batches.</param>
    public static double Top1(
        Device device, VisionModel model, ImageDataset data, int batchSize, CancellationToken cancellation = default) =>
        Measure(device, model, data, batchSize, cancellation).Top1;

    /// <summary>Counts how often the class of an image is the first answer, and among the first five.</summary>
    /// <inheritdoc cref="Top1"/>
    public static Accuracy Measure(
        Device device, VisionModel model, ImageDataset data, int batchSize, CancellationToken cancellation = default)
    {
        var loader = new BatchLoader(data, new BatchPlan(data.Count, batchSize, seed: 0, shuffle: false));
        var format = data.Format;
        long first = 0, firstFive = 0;
        for (int batch = 0; batch < loader.Plan.BatchesPerEpoch; batch++)
        {
            cancellation.ThrowIfCancellationRequested();
            var position = new BatchPosition(0, batch);
            using var step = Step.Evaluation(device);
            int size = loader.SizeOf(position);
            var images = step.Empty([size, format.Channels, format.Height, format.Width]);
            var labels = new long[size];
            using (var pixels = images.OnHost<float>())
                loader.Load(position, pixels.Span, labels);
            var logits = model.Forward(images).Prediction.ToArray<float>();
            int classes = format.ClassNames.Count;
            for (int i = 0; i < size; i++)
            {
                int before = Before(logits.AsSpan(i * classes, classes), (int)labels[i]);
                first += before == 0 ? 1 : 0;
                firstFive += before < 5 ? 1 : 0;
            }
        }

        return new Accuracy((double)first / data.Count, (double)firstFive / data.Count);
    }

    /// <summary>How many classes come before one; all, where its logit is not a number.</summary>
    private static int Before(ReadOnlySpan<float> logits, int label)
    {
        int count = 0;
        for (int c = 0; c < logits.Length; c++)
        {
            bool after = c == label || (c > label ? logits[c] <= logits[label] : logits[c] < logits[label]);
            count += after && !float.IsNaN(logits[label]) ? 0 : 1;
        }
        return count;
    }
}
