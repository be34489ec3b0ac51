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
        using var feeder = new BatchFeeder(device, loader, Math.Min(batchSize, data.Count));
        int batches = loader.Plan.BatchesPerEpoch, classes = data.Format.ClassNames.Count;
        long first = 0, firstFive = 0;
        for (int batch = 0; batch < batches; batch++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var step = Step.Evaluation(device);
            var images = feeder.Next(step, Part(batch), batch + 1 < batches ? Part(batch + 1) : null).Images;
            var logits = model.Forward(images).Prediction.ToArray<float>();
            for (int i = 0; i < images.Shape[0]; i++)
            {
                int before = Before(logits.AsSpan(i * classes, classes), data.Labels[(batch * batchSize) + i]);
                first += before == 0 ? 1 : 0;
                firstFive += before < 5 ? 1 : 0;
            }
        }

        return new Accuracy((double)first / data.Count, (double)firstFive / data.Count);

        BatchPart Part(int batch) => new(new BatchPosition(0, batch), 0, loader.SizeOf(new BatchPosition(0, batch)));
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
