using System.IO.Compression;

namespace DtoKd.Training.Data;

/// <summary>
/// The 1,797 handwritten digits that are embedded in this assembly: 8 x 8 pixels, values 0..16 ("Optical Recognition of
/// Handwritten Digits", E. Alpaydin and C. Kaynak, 1998, CC BY 4.0; see the README in the folder Digits).
/// </summary>
public static class Digits
{
    /// <summary>Whose data this is and under which licence; to be shown where it is used.</summary>
    public const string Credit =
        "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, CC BY 4.0";

    /// <summary>Held-out images of each class.</summary>
    public const int TestImagesPerClass = 36;

    private const int Side = 8, Pixels = Side * Side;

    /// <summary>Size, classes and normalisation (mean and deviation of all images).</summary>
    internal static ImageFormat Format { get; } = new(
        "digits", Enumerable.Range(0, 10).Select(digit => digit.ToString()).ToArray(), 1, Side, Side, 16, [0.3053f], [0.3760f]);

    /// <summary>All images in the file's order.</summary>
    internal static ImageDataset All()
    {
        using var packed = typeof(Digits).Assembly.GetManifestResourceStream("digits.csv.gz")!;
        using var reader = new StreamReader(new GZipStream(packed, CompressionMode.Decompress));
        var pixels = new List<byte>();
        var labels = new List<int>();
        while (reader.ReadLine() is { } line)
        {
            var values = line.Split(',');
            pixels.AddRange(values.Take(Pixels).Select(byte.Parse));
            labels.Add(int.Parse(values[Pixels]));
        }
        return new ImageDataset(Format, pixels.ToArray(), labels.ToArray());
    }

    /// <summary>
    /// A fixed split into 1,437 training and 360 test images. The test images of a class are spread evenly over its images in
    /// the file's order, so that every writer has about the same part in both.
    /// </summary>
    /// <returns>The two parts.</returns>
    public static DataSplit Load()
    {
        var all = All();
        var isTest = new bool[all.Count];
        var labels = all.Labels.ToArray();
        for (int c = 0; c < all.Format.ClassNames.Count; c++)
        {
            var ofClass = Enumerable.Range(0, labels.Length).Where(i => labels[i] == c).ToArray();
            for (int i = 0; i < TestImagesPerClass; i++)
                isTest[ofClass[(2 * i + 1) * ofClass.Length / (2 * TestImagesPerClass)]] = true;
        }
        var indices = Enumerable.Range(0, all.Count).ToLookup(i => isTest[i]);
        return new DataSplit(all.Subset(indices[false].ToArray()), all.Subset(indices[true].ToArray()));
    }
}
