namespace DtoKd.Training.Data;

/// <summary>
/// The binary version of CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): records of a label
/// byte and 3,072 bytes, the red, green and blue planes of 32 x 32 pixels. Each file may be gzipped.
/// </summary>
public static class Cifar10Format
{
    /// <summary>Rows, and pixels in a row.</summary>
    public const int Side = 32;

    private const int ImageBytes = 3 * Side * Side;
    private const int RecordBytes = 1 + ImageBytes;

    /// <summary>Reads the training images: data_batch_*.bin, or where there are none every *train*.bin, by name.</summary>
    /// <param name="folder">Where the files are.</param>
    /// <param name="format">Name, classes and normalisation.</param>
    /// <returns>The images of all files, one file after the other.</returns>
    /// <exception cref="InvalidDataException">There are no such files, or one is damaged.</exception>
    public static ImageDataset ReadTrain(string folder, ImageFormat format) =>
        Read(folder, format, "data_batch_*.bin", "*train*.bin");

    /// <summary>Reads the test images: test_batch.bin, or where there is none every *test*.bin, by name.</summary>
    /// <inheritdoc cref="ReadTrain"/>
    public static ImageDataset ReadTest(string folder, ImageFormat format) =>
        Read(folder, format, "test_batch.bin", "*test*.bin");

    private static ImageDataset Read(string folder, ImageFormat format, params ReadOnlySpan<string> patterns)
    {
        DataFile.RequireFolder(folder);
        foreach (string pattern in patterns)
        {
            var paths = Matches(folder, pattern);
            if (paths.Count > 0)
                return ReadFiles(paths, format);
        }
        throw new InvalidDataException($"{folder}: found none of {string.Join(", ", patterns.ToArray())}, with or without .gz");
    }

    /// <summary>Plain files, and gzipped ones that are not there plainly as well.</summary>
    private static List<string> Matches(string folder, string pattern)
    {
        var paths = Directory.GetFiles(folder, pattern).ToHashSet();
        foreach (string packed in Directory.GetFiles(folder, pattern + ".gz"))
        {
            if (!paths.Contains(packed[..^".gz".Length]))
                paths.Add(packed);
        }
        return paths.Order(StringComparer.Ordinal).ToList();
    }

    private static ImageDataset ReadFiles(List<string> paths, ImageFormat format)
    {
        var files = paths.ConvertAll(path => ReadRecords(path, format.ClassNames.Count));
        int count = files.Sum(bytes => bytes.Length / RecordBytes);
        if ((long)count * ImageBytes > Array.MaxLength)
            throw new InvalidDataException($"{paths[0]}: {count} images in {paths.Count} files are more than can be held");
        var pixels = new byte[count * ImageBytes];
        var labels = new int[count];
        int image = 0;
        foreach (var bytes in files)
        {
            for (int at = 0; at < bytes.Length; at += RecordBytes, image++)
            {
                labels[image] = bytes[at];
                bytes.AsSpan(at + 1, ImageBytes).CopyTo(pixels.AsSpan(image * ImageBytes));
            }
        }
        return new ImageDataset(format with { Channels = 3, Height = Side, Width = Side }, pixels, labels);
    }

    private static byte[] ReadRecords(string path, int classes)
    {
        using var file = DataFile.Open(path);
        var bytes = file.ReadToEnd();
        if (bytes.Length == 0 || bytes.Length % RecordBytes != 0)
        {
            int next = (bytes.Length / RecordBytes + 1) * RecordBytes;
            throw file.Error($"the last record is cut short: {next} bytes expected for whole records of {RecordBytes}, "
                + $"{bytes.Length} found");
        }
        for (int at = 0; at < bytes.Length; at += RecordBytes)
        {
            if (bytes[at] >= classes)
                throw file.Error($"label {bytes[at]} of image {at / RecordBytes} (offset {at}) is not in 0..{classes - 1}");
        }
        return bytes;
    }
}
