using System.Buffers.Binary;

namespace DtoKd.Training.Data;

/// <summary>
/// The IDX format of MNIST and Fashion-MNIST: big-endian 0x00000803, count, rows, columns and then bytes for images; 0x00000801,
/// count and then bytes for labels. Each file may be gzipped.
/// </summary>
public static class IdxFormat
{
    private const uint ImagesMagic = 0x00000803, LabelsMagic = 0x00000801;

    // Above this a header is more likely damaged than true.
    private const uint LargestSide = 4096;

    /// <summary>Reads a pair of files out of a folder.</summary>
    /// <param name="folder">Where they are.</param>
    /// <param name="prefix"><c>train</c> or <c>t10k</c>: what the names start with, before <c>-images-idx3-ubyte</c>.</param>
    /// <param name="format">Name, classes and normalisation; the size is taken from the file.</param>
    /// <returns>Grey images [N, 1, H, W] and their labels.</returns>
    /// <exception cref="InvalidDataException">A file is missing or damaged, or the two do not agree.</exception>
    public static ImageDataset Read(string folder, string prefix, ImageFormat format)
    {
        string imagesPath = DataFile.Find(folder, $"{prefix}-images-idx3-ubyte", $"{prefix}-images.idx3-ubyte");
        string labelsPath = DataFile.Find(folder, $"{prefix}-labels-idx1-ubyte", $"{prefix}-labels.idx1-ubyte");
        var (pixels, count, height, width) = ReadImages(imagesPath);
        var labels = ReadLabels(labelsPath, format.ClassNames.Count);
        if (labels.Length != count)
            throw new InvalidDataException($"{labelsPath}: {labels.Length} labels for the {count} images of {imagesPath}");
        return new ImageDataset(format with { Channels = 1, Height = height, Width = width }, pixels, labels);
    }

    internal static (byte[] Pixels, int Count, int Height, int Width) ReadImages(string path)
    {
        using var file = DataFile.Open(path);
        var header = Header(file, ImagesMagic, 3, "images");
        var (count, height, width) = (header[0], header[1], header[2]);
        if (count == 0)
            throw file.Error("there are no images in it");
        if (height is 0 or > LargestSide || width is 0 or > LargestSide)
            throw file.Error($"images of {height} x {width} pixels; 1..{LargestSide} are expected");
        var pixels = file.Read((long)count * height * width, $"the part with {count} images of {height} x {width} pixels");
        file.ExpectEnd();
        return (pixels, (int)count, (int)height, (int)width);
    }

    internal static int[] ReadLabels(string path, int classes)
    {
        using var file = DataFile.Open(path);
        uint count = Header(file, LabelsMagic, 1, "labels")[0];
        var bytes = file.Read(count, $"the part with {count} labels");
        file.ExpectEnd();
        int bad = Array.FindIndex(bytes, label => label >= classes);
        return bad < 0
            ? Array.ConvertAll(bytes, label => (int)label)
            : throw file.Error($"label {bytes[bad]} of image {bad} is not in 0..{classes - 1}");
    }

    private static uint[] Header(DataFile file, uint expected, int dimensions, string what)
    {
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(file.Read(sizeof(uint), "the header"));
        if (magic != expected)
            throw file.Error($"magic number 0x{magic:X8} at offset 0; IDX {what} start with 0x{expected:X8}");
        var bytes = file.Read(dimensions * sizeof(uint), "the header");
        var numbers = new uint[dimensions];
        for (int i = 0; i < dimensions; i++)
            numbers[i] = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(i * sizeof(uint)));
        return numbers;
    }
}
