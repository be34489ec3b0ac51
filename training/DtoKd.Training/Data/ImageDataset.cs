namespace DtoKd.Training.Data;

/// <summary>What all images of a data set have in common.</summary>
/// <param name="Name">The data set's name.</param>
/// <param name="ClassNames">One name per label.</param>
/// <param name="Channels">1 for grey, 3 for red, green, blue.</param>
/// <param name="Height">Rows of pixels.</param>
/// <param name="Width">Pixels in a row.</param>
/// <param name="MaxValue">The stored value of full brightness: 255 for most, 16 for the digits.</param>
/// <param name="Mean">Per channel, of the values divided by <paramref name="MaxValue"/>.</param>
/// <param name="Std">Per channel, of the values divided by <paramref name="MaxValue"/>.</param>
public sealed record ImageFormat(
    string Name,
    IReadOnlyList<string> ClassNames,
    int Channels,
    int Height,
    int Width,
    int MaxValue,
    IReadOnlyList<float> Mean,
    IReadOnlyList<float> Std)
{
    /// <summary>Values of one image: channels x height x width.</summary>
    public int ImageSize => Channels * Height * Width;
}

/// <summary>Labelled images of one size, as bytes [C, H, W] each: held in memory, or read when they are asked for.</summary>
public sealed class ImageDataset
{
    private const int ByteValues = 256;

    private readonly byte[]? _pixels;
    private readonly Func<int, byte[]>? _read;
    private readonly int[] _labels;
    private readonly float[] _normalised;

    /// <summary>Makes a data set; the arrays are kept, not copied.</summary>
    /// <param name="format">Size, classes and normalisation.</param>
    /// <param name="pixels">[N, C, H, W].</param>
    /// <param name="labels">[N], each the index of a class.</param>
    /// <exception cref="ArgumentException">The lengths do not agree, or a label is not a class.</exception>
    public ImageDataset(ImageFormat format, byte[] pixels, int[] labels)
        : this(format, labels)
    {
        if (pixels.LongLength != (long)labels.Length * format.ImageSize)
        {
            throw new ArgumentException($"{labels.Length} images of {format.ImageSize} values need "
                + $"{(long)labels.Length * format.ImageSize} bytes, but {pixels.Length} are given", nameof(pixels));
        }
        _pixels = pixels;
    }

    /// <summary>Makes a data set whose images are read each time they are asked for.</summary>
    /// <param name="format">Size, classes and normalisation.</param>
    /// <param name="read">Gives the values of an image, [C, H, W].</param>
    /// <param name="labels">[N], each the index of a class.</param>
    /// <exception cref="ArgumentException">A label is not a class.</exception>
    public ImageDataset(ImageFormat format, Func<int, byte[]> read, int[] labels)
        : this(format, labels) => _read = read;

    private ImageDataset(ImageFormat format, int[] labels)
    {
        if (format.Mean.Count != format.Channels || format.Std.Count != format.Channels)
            throw new ArgumentException($"{format.Channels} channels need as many means and standard deviations", nameof(format));
        int bad = Array.FindIndex(labels, label => (uint)label >= (uint)format.ClassNames.Count);
        if (bad >= 0)
        {
            throw new ArgumentException(
                $"label {labels[bad]} of image {bad} is not in 0..{format.ClassNames.Count - 1}", nameof(labels));
        }

        Format = format;
        _labels = labels;
        // A byte has few values, so normalising is a look-up.
        _normalised = new float[format.Channels * ByteValues];
        for (int c = 0; c < format.Channels; c++)
        {
            for (int v = 0; v < ByteValues; v++)
                _normalised[c * ByteValues + v] = (float)(((double)v / format.MaxValue - format.Mean[c]) / format.Std[c]);
        }
    }

    /// <summary>Size, classes and normalisation.</summary>
    public ImageFormat Format { get; }

    /// <summary>How many images.</summary>
    public int Count => _labels.Length;

    /// <summary>The labels, [N].</summary>
    public ReadOnlySpan<int> Labels => _labels;

    /// <summary>The stored values of one image, [C, H, W].</summary>
    /// <param name="index">Which image.</param>
    /// <exception cref="InvalidDataException">The image had to be read and is damaged.</exception>
    public ReadOnlySpan<byte> Pixels(int index) =>
        _read is null ? _pixels.AsSpan(index * Format.ImageSize, Format.ImageSize) : _read(index);

    /// <summary>For each stored value of a channel, (value / MaxValue - mean) / std: 256 numbers.</summary>
    /// <param name="channel">Which channel.</param>
    public ReadOnlySpan<float> NormalisedValues(int channel) => _normalised.AsSpan(channel * ByteValues, ByteValues);

    /// <summary>Some of the images, copied.</summary>
    /// <param name="indices">Which, in which order.</param>
    /// <returns>A data set of the same format.</returns>
    public ImageDataset Subset(ReadOnlySpan<int> indices)
    {
        var labels = new int[indices.Length];
        for (int i = 0; i < indices.Length; i++)
            labels[i] = _labels[indices[i]];
        if (_read is { } read)
        {
            int[] chosen = indices.ToArray();
            return new ImageDataset(Format, index => read(chosen[index]), labels);
        }

        var pixels = new byte[indices.Length * Format.ImageSize];
        for (int i = 0; i < indices.Length; i++)
            Pixels(indices[i]).CopyTo(pixels.AsSpan(i * Format.ImageSize));
        return new ImageDataset(Format, pixels, labels);
    }
}
