using DtoKd.Training.Data;

namespace DtoKd.Training.Benchmarks;

/// <summary>Noise in the shape of ImageNet: 224 x 224 pixels, 1000 classes.</summary>
internal static class RandomImages
{
    private const int Side = 224;
    private const int Classes = 1000;
    private const int Seed = 1;

    private static readonly ImageFormat _format = new(
        "noise",
        [.. Enumerable.Range(0, Classes).Select(label => $"{label}")],
        3, Side, Side, 255, [0.5f, 0.5f, 0.5f], [0.25f, 0.25f, 0.25f]);

    public static ImageDataset Of(int count)
    {
        int most = Array.MaxLength / _format.ImageSize;
        if (count > most)
            throw new ArgumentException($"{count} images do not fit into one array; at most {most} do");
        var random = new Random(Seed);
        var pixels = new byte[count * _format.ImageSize];
        random.NextBytes(pixels);
        return new ImageDataset(_format, pixels, [.. Enumerable.Range(0, count).Select(_ => random.Next(Classes))]);
    }
}
