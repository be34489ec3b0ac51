using System.Security.Cryptography;
using DtoKd.Training.Data;

namespace DtoKd.Training.Tests.Data;

public class DigitsTests
{
    [Fact]
    public void The_embedded_file_is_the_published_one()
    {
        using var stream = typeof(Digits).Assembly.GetManifestResourceStream("digits.csv.gz")!;
        Assert.Equal("46abec6b12486ad9e51943373abcf22bbea1b5a51a1619b361570d8893f1464a",
            Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    [Fact]
    public void The_first_image_is_the_zero_at_the_top_of_the_file()
    {
        var all = Digits.All();
        Assert.Equal(1797, all.Count);
        Assert.Equal([0, 1, 2], all.Labels[..3].ToArray());
        Assert.Equal([0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0], all.Pixels(0)[..16].ToArray());
    }

    [Fact]
    public void The_normalisation_gives_mean_zero_and_deviation_one()
    {
        var all = Digits.All();
        var values = Enumerable.Range(0, all.Count)
            .SelectMany(i => all.Pixels(i).ToArray())
            .Select(v => (double)all.NormalisedValues(0)[v])
            .ToArray();
        Assert.Equal(0, values.Average(), 1e-3);
        Assert.Equal(1, values.Average(v => v * v), 1e-3);
    }

    [Fact]
    public void The_split_holds_out_36_of_each_class_and_uses_every_image_once()
    {
        var (train, test) = Digits.Load();
        Assert.Equal((1437, 360), (train.Count, test.Count));
        Assert.All(Enumerable.Range(0, 10), c => Assert.Equal(36, test.Labels.Count(c)));
        static IEnumerable<string> Texts(ImageDataset data) =>
            Enumerable.Range(0, data.Count).Select(i => $"{data.Labels[i]}:{Convert.ToHexString(data.Pixels(i))}");
        Assert.Equal(Texts(Digits.All()).Order(), Texts(train).Concat(Texts(test)).Order());
    }
}
