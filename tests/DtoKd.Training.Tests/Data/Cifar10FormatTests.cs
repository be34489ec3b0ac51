using DtoKd.Tests;
using DtoKd.Training.Data;
using static DtoKd.Training.Tests.Data.IdxFormatTests;

namespace DtoKd.Training.Tests.Data;

public sealed class Cifar10FormatTests : IDisposable
{
    private static readonly ImageFormat TenClasses = new(
        "test", Enumerable.Range(0, 10).Select(c => $"{c}").ToArray(), 3, 32, 32, 255, [0, 0, 0], [1, 1, 1]);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Batches_are_read_by_name_gzipped_or_not_and_never_twice()
    {
        _folder.Write("data_batch_2.bin", Pack([.. Record(2, 20), .. Record(3, 30)], true));
        _folder.Write("data_batch_1.bin", Record(1, 10));
        _folder.Write("data_batch_1.bin.gz", Pack(Record(1, 10), true));
        _folder.Write("data_batch_3.bin.gz", Pack(Record(4, 40), true));
        _folder.Write("train_other.bin", Record(9, 90));
        _folder.Write("test_batch.bin", Record(5, 50));
        var train = Cifar10Format.ReadTrain(_folder.FullName, TenClasses);
        Assert.Equal([1, 2, 3, 4], train.Labels.ToArray());
        Assert.Equal([10, 20, 30, 40], Enumerable.Range(0, 4).Select(i => (int)train.Pixels(i)[0]));
        Assert.Equal([5], Cifar10Format.ReadTest(_folder.FullName, TenClasses).Labels.ToArray());
    }

    [Fact]
    public void Planes_become_channels()
    {
        byte[] record = [7, .. Plane(1), .. Plane(2), .. Plane(3)];
        record[1 + 1024 + 32 + 5] = 99;
        _folder.Write("my_train.bin", record);
        var data = Cifar10Format.ReadTrain(_folder.FullName, TenClasses);
        // Green plane, second row, sixth pixel.
        Assert.Equal(99, data.Pixels(0)[(1 * 32 + 1) * 32 + 5]);
        Assert.Equal((1, 2, 3), (data.Pixels(0)[0], data.Pixels(0)[1024], data.Pixels(0)[2048]));
    }

    [Fact]
    public void Missing_and_damaged_files_are_named_with_the_reason()
    {
        AssertSays("nowhere: there is no such folder", () => Cifar10Format.ReadTrain(_folder["nowhere"], TenClasses));
        AssertSays("found none of data_batch_*.bin, *train*.bin, with or without .gz",
            () => Cifar10Format.ReadTrain(_folder.FullName, TenClasses));
        AssertSays("found none of test_batch.bin, *test*.bin", () => Cifar10Format.ReadTest(_folder.FullName, TenClasses));

        _folder.Write("test_a.bin", [.. Record(1, 1), .. Record(10, 1)]);
        AssertSays("test_a.bin: label 10 of image 1 (offset 3073) is not in 0..9",
            () => Cifar10Format.ReadTest(_folder.FullName, TenClasses));
        _folder.Write("test_a.bin", [.. Record(1, 1), .. Record(2, 1)[..3072]]);
        AssertSays("test_a.bin: the last record is cut short: 6146 bytes expected for whole records of 3073, 6145 found",
            () => Cifar10Format.ReadTest(_folder.FullName, TenClasses));
        _folder.Write("test_a.bin", []);
        AssertSays("3073 bytes expected for whole records of 3073, 0 found",
            () => Cifar10Format.ReadTest(_folder.FullName, TenClasses));
        byte[] packed = Pack([.. Record(1, 1), .. Record(2, 1)], true);
        packed[^5] ^= 1;
        _folder.Write("test_a.bin", packed);
        AssertSays("gzip data is damaged", () => Cifar10Format.ReadTest(_folder.FullName, TenClasses));
    }

    [Fact]
    public void Reads_the_CIFAR_10_subset()
    {
        var (train, test) = DataSource.Parse("cifar10:" + SharedFiles.Require("data/cifar10")).Load();
        Assert.Equal((5000, 1000), (train.Count, test.Count));
        Assert.Equal(Enumerable.Range(0, 5000).Select(i => i % 10), train.Labels.ToArray());
        Assert.Equal("truck", train.Format.ClassNames[9]);
        // Natural images: with the usual constants every channel comes out near mean 0 and deviation 1.
        for (int c = 0; c < 3; c++)
        {
            double sum = 0, squares = 0;
            for (int i = 0; i < train.Count; i++)
            {
                foreach (byte v in train.Pixels(i).Slice(c * 1024, 1024))
                {
                    sum += train.NormalisedValues(c)[v];
                    squares += (double)train.NormalisedValues(c)[v] * train.NormalisedValues(c)[v];
                }
            }
            Assert.Equal(0, sum / (5000 * 1024), 0.05);
            Assert.Equal(1, squares / (5000 * 1024), 0.05);
        }
    }

    private static IEnumerable<byte> Plane(byte value) => Enumerable.Repeat(value, 1024);

    private static byte[] Record(byte label, byte value) => [label, .. Enumerable.Repeat(value, 3072)];
}
