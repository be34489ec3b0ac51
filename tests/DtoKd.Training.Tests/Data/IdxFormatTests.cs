using System.Buffers.Binary;
using System.IO.Compression;
using DtoKd.Tests;
using DtoKd.Training.Data;

namespace DtoKd.Training.Tests.Data;

public sealed class IdxFormatTests : IDisposable
{
    private static readonly ImageFormat TwoClasses = new("test", ["a", "b"], 1, 0, 0, 255, [0.5f], [0.25f]);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Reads_plain_and_gzipped_files_whatever_their_names_say(bool gzipped)
    {
        string misleading = gzipped ? "train-images-idx3-ubyte" : "train-images-idx3-ubyte.gz";
        _folder.Write(misleading, Pack(Images(2, 1, 3, [1, 2, 3, 4, 5, 6]), gzipped));
        _folder.Write("train-labels-idx1-ubyte", Pack(Labels(2, [1, 0]), gzipped));
        var data = IdxFormat.Read(_folder.FullName, "train", TwoClasses);
        Assert.Equal((2, 1, 1, 3), (data.Count, data.Format.Channels, data.Format.Height, data.Format.Width));
        Assert.Equal([4, 5, 6], data.Pixels(1).ToArray());
        Assert.Equal([1, 0], data.Labels.ToArray());
    }

    [Fact]
    public void A_missing_folder_or_file_is_named()
    {
        AssertSays("nowhere: there is no such folder", () => IdxFormat.Read(_folder["nowhere"], "train", TwoClasses));
        AssertSays("found none of t10k-images-idx3-ubyte, t10k-images.idx3-ubyte, with or without .gz",
            () => IdxFormat.Read(_folder.FullName, "t10k", TwoClasses));
        _folder.Write("t10k-images-idx3-ubyte", Images(1, 1, 1, [0]));
        AssertSays("found none of t10k-labels-idx1-ubyte", () => IdxFormat.Read(_folder.FullName, "t10k", TwoClasses));
    }

    public static TheoryData<byte[], string> BadImages => new()
    {
        { [], "the header is cut short: 4 bytes expected from offset 0, 0 found" },
        { Images(2, 2, 2, new byte[8])[..9], "the header is cut short: 12 bytes expected from offset 4, 5 found" },
        { Images(2, 2, 2, new byte[7]), "2 images of 2 x 2 pixels is cut short: 8 bytes expected from offset 16, 7 found" },
        { Images(2, 2, 2, new byte[9]), "there are bytes behind the expected end at offset 24" },
        { Labels(8, new byte[8]), "magic number 0x00000801 at offset 0; IDX images start with 0x00000803" },
        { "PNG not IDX"u8.ToArray(), "magic number 0x504E4720 at offset 0" },
        { Images(0, 2, 2, []), "there are no images in it" },
        { Images(1, 0, 2, []), "images of 0 x 2 pixels; 1..4096 are expected" },
        { Images(1, 2, 4097, []), "images of 2 x 4097 pixels" },
        { Images(uint.MaxValue, 4096, 4096, []), "is more than can be held" },
        { Images(100, 4096, 1000, []), "409600000 bytes expected from offset 16, 0 found" },
    };

    [Theory]
    [MemberData(nameof(BadImages))]
    public void Damaged_images_are_refused_with_the_reason(byte[] file, string message)
    {
        string path = _folder.Write("images", file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AssertSays(message, () => IdxFormat.ReadImages(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        AssertSays(message, () => IdxFormat.ReadImages(_folder.Write("packed", Pack(file, true))));
    }

    [Fact]
    public void A_label_out_of_range_is_named_with_its_image()
    {
        string path = _folder.Write("labels", Labels(4, [0, 1, 1, 2]));
        AssertSays("labels: label 2 of image 3 is not in 0..1", () => IdxFormat.ReadLabels(path, 2));
    }

    [Fact]
    public void Another_number_of_labels_than_images_is_refused()
    {
        _folder.Write("train-images-idx3-ubyte", Images(2, 1, 1, [1, 2]));
        _folder.Write("train-labels-idx1-ubyte", Labels(3, [1, 0, 1]));
        AssertSays("train-labels-idx1-ubyte: 3 labels for the 2 images of",
            () => IdxFormat.Read(_folder.FullName, "train", TwoClasses));
    }

    [Fact]
    public void Damaged_gzip_data_is_refused_wherever_the_damage_is()
    {
        var values = new byte[5000];
        new Random(3).NextBytes(values);
        byte[] good = Pack(Images(50, 10, 10, values), true);
        AssertSays("gzip data is damaged", () => IdxFormat.ReadImages(_folder.Write("crc", Changed(good, good.Length - 6))));
        AssertSays("gzip data is damaged", () => IdxFormat.ReadImages(_folder.Write("method", Changed(good, 2))));
        AssertSays("cut short", () => IdxFormat.ReadImages(_folder.Write("half", good[..(good.Length / 2)])));
    }

    [Fact]
    public void Three_thousand_mutants_are_read_or_refused_with_InvalidDataException()
    {
        var random = new Random(77);
        byte[] plain = Images(3, 4, 5, new byte[60]), packed = Pack(plain, true);
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] mutant = (byte[])(i % 2 == 0 ? plain : packed).Clone();
            mutant[random.Next(Math.Min(mutant.Length, 30))] = (byte)random.Next(256);
            mutant = mutant[..random.Next(mutant.Length / 2, mutant.Length + 1)];
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                IdxFormat.ReadImages(_folder.Write("mutant", mutant));
            }
            catch (InvalidDataException)
            {
                refused++;
            }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }
        Assert.InRange(refused, 1000, 2999);
    }

    [Fact]
    public void Reads_Fashion_MNIST()
    {
        var (train, test) = DataSource.Parse("fashion-mnist:" + SharedFiles.Require("data/fashion-mnist")).Load();
        Assert.Equal((60000, 10000), (train.Count, test.Count));
        Assert.All(Enumerable.Range(0, 10), c => Assert.Equal(6000, train.Labels.Count(c)));
        Assert.All(Enumerable.Range(0, 10), c => Assert.Equal(1000, test.Labels.Count(c)));
        // From a separate reader: the first labels, and the sum over the first image and over the last test image.
        Assert.Equal([9, 0, 0, 3, 0, 2, 7, 2, 5, 5], train.Labels[..10].ToArray());
        Assert.Equal(76247, train.Pixels(0).ToArray().Sum(v => v));
        Assert.Equal("Ankle boot", train.Format.ClassNames[train.Labels[0]]);
        // The normalisation in use is that of the training set.
        double sum = 0, squares = 0;
        for (int i = 0; i < train.Count; i++)
        {
            foreach (byte v in train.Pixels(i))
            {
                double z = train.NormalisedValues(0)[v];
                sum += z;
                squares += z * z;
            }
        }
        Assert.Equal(0, sum / (60000 * 784), 1e-3);
        Assert.Equal(1, squares / (60000 * 784), 1e-3);
    }

    internal static void AssertSays(string message, Action action)
    {
        var e = Assert.Throws<InvalidDataException>(action);
        Assert.Contains(message, e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    internal static byte[] Pack(byte[] bytes, bool gzip)
    {
        if (!gzip)
            return bytes;
        var packed = new MemoryStream();
        using (var stream = new GZipStream(packed, CompressionMode.Compress))
            stream.Write(bytes);
        return packed.ToArray();
    }

    private static byte[] Changed(byte[] bytes, int at)
    {
        var changed = (byte[])bytes.Clone();
        changed[at] ^= 0x55;
        return changed;
    }

    private static byte[] Images(uint count, uint height, uint width, byte[] pixels) =>
        [.. BigEndian(0x803), .. BigEndian(count), .. BigEndian(height), .. BigEndian(width), .. pixels];

    private static byte[] Labels(uint count, byte[] labels) => [.. BigEndian(0x801), .. BigEndian(count), .. labels];

    private static byte[] BigEndian(uint number)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        return bytes;
    }
}
