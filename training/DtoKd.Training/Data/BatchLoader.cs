using DtoKd.Engine;

namespace DtoKd.Training.Data;

/// <summary>Random changes to training images, each a function of seed, epoch and image.</summary>
/// <param name="Shift">
/// Moves the image by up to so many pixels along each axis, each of the 2 Shift + 1 distances equally likely; what comes in
/// from outside is black (the normalised value of a stored 0).
/// </param>
/// <param name="Flip">Mirrors every other image left to right, at random.</param>
public sealed record Augmentation(int Shift = 0, bool Flip = false)
{
    /// <summary>Images as they are.</summary>
    public static Augmentation None { get; } = new();
}

/// <summary>Puts batches together: picks, augments and normalises images into memory of the caller, allocating nothing.</summary>
public sealed class BatchLoader
{
    // Random numbers set aside for each image.
    private const int DrawsPerImage = 4;

    private static readonly uint AugmentStream = PhiloxStream.StreamOf("data.augment");

    private readonly ImageDataset _data;
    private readonly Augmentation _augmentation;

    /// <summary>Makes a loader.</summary>
    /// <param name="data">The images.</param>
    /// <param name="plan">Which of them are in which batch; made for as many images.</param>
    /// <param name="augmentation">Random changes; none when left out.</param>
    /// <exception cref="ArgumentException">The plan is for another number of images.</exception>
    public BatchLoader(ImageDataset data, BatchPlan plan, Augmentation? augmentation = null)
    {
        if (plan.Count != data.Count)
            throw new ArgumentException($"the plan is for {plan.Count} images, the data set has {data.Count}", nameof(plan));
        _data = data;
        Plan = plan;
        _augmentation = augmentation ?? Augmentation.None;
        ArgumentOutOfRangeException.ThrowIfNegative(_augmentation.Shift, nameof(augmentation));
    }

    /// <summary>Which images are in which batch.</summary>
    public BatchPlan Plan { get; }

    /// <summary>Size, classes and normalisation of the images.</summary>
    public ImageFormat Format => _data.Format;

    /// <summary>Images in a batch: the plan's batch size, or fewer in the last batch of an epoch.</summary>
    /// <param name="position">Which batch.</param>
    public int SizeOf(BatchPosition position) => Plan.SizeOf(position);

    /// <summary>Puts a batch together.</summary>
    /// <param name="position">Which batch; B is its <see cref="SizeOf"/>.</param>
    /// <param name="images">Takes the normalised images, [B, C, H, W]; may be longer.</param>
    /// <param name="labels">Takes the labels, [B]; may be longer.</param>
    /// <returns>B.</returns>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public int Load(BatchPosition position, Span<float> images, Span<long> labels)
    {
        Load(position.Epoch, Plan.Indices(position), images, labels);
        return SizeOf(position);
    }

    /// <summary>Puts images together, on any thread.</summary>
    /// <param name="epoch">Passes over the data before this one: other epochs see other changes of an image.</param>
    /// <param name="indices">The B images.</param>
    /// <param name="images">Takes the normalised images, [B, C, H, W]; may be longer.</param>
    /// <param name="labels">Takes the labels, [B]; may be longer.</param>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public void Load(int epoch, ReadOnlySpan<int> indices, Span<float> images, Span<long> labels)
    {
        int imageSize = _data.Format.ImageSize;
        if (images.Length < (long)indices.Length * imageSize || labels.Length < indices.Length)
        {
            throw new ArgumentException($"a batch of {indices.Length} images of {imageSize} values does not fit into room for "
                + $"{images.Length} values and {labels.Length} labels");
        }
        var random = new PhiloxStream(Plan.Seed, AugmentStream, (ulong)epoch);
        for (int i = 0; i < indices.Length; i++)
        {
            int image = indices[i];
            labels[i] = _data.Labels[image];
            ulong draws = (ulong)image * DrawsPerImage;
            uint distances = 2 * (uint)_augmentation.Shift + 1;
            int down = (int)random.Below(draws, distances) - _augmentation.Shift;
            int right = (int)random.Below(draws + 1, distances) - _augmentation.Shift;
            bool flip = _augmentation.Flip && random.Below(draws + 2, 2) == 1;
            Place(image, images.Slice(i * imageSize, imageSize), down, right, flip);
        }
    }

    /// <summary>Mirrors first, then moves.</summary>
    private void Place(int image, Span<float> destination, int down, int right, bool flip)
    {
        var format = _data.Format;
        int height = format.Height, width = format.Width;
        var pixels = _data.Pixels(image);
        for (int c = 0; c < format.Channels; c++)
        {
            var values = _data.NormalisedValues(c);
            for (int y = 0; y < height; y++)
            {
                var row = destination.Slice((c * height + y) * width, width);
                int from = y - down;
                if ((uint)from >= (uint)height)
                {
                    row.Fill(values[0]);
                    continue;
                }
                var source = pixels.Slice((c * height + from) * width, width);
                // What comes in from outside is on one side.
                int start = Math.Clamp(right, 0, width), end = Math.Clamp(width + right, 0, width), first = start - right;
                row[..start].Fill(values[0]);
                row[end..].Fill(values[0]);
                var inside = row[start..end];
                if (flip)
                {
                    for (int x = 0; x < inside.Length; x++)
                        inside[x] = values[source[width - 1 - first - x]];
                }
                else
                {
                    for (int x = 0; x < inside.Length; x++)
                        inside[x] = values[source[first + x]];
                }
            }
        }
    }
}
