using DtoKd.Tests;
using DtoKd.Training.Data;

namespace DtoKd.Training.Tests.Data;

public class BatchLoaderTests
{
    // Two channels of 2 x 3 pixels, values 1..12 and 13..24; mean and deviation make the numbers easy to work out.
    private static readonly ImageFormat Format = new("test", ["a", "b"], 2, 2, 3, 10, [0.5f, 1f], [0.5f, 0.1f]);

    private static readonly ImageDataset Data = new(Format, Enumerable.Range(1, 24).Select(v => (byte)v).ToArray(), [1, 0]);

    [Fact]
    public void Normalises_each_channel()
    {
        var loader = new BatchLoader(Data, new BatchPlan(2, 2, 1, shuffle: false));
        var images = new float[24];
        var labels = new long[2];
        Assert.Equal(2, loader.Load(new BatchPosition(0, 0), images, labels));
        Assert.Equal([1L, 0L], labels);
        // (1/10 - 0.5) / 0.5 = -0.8 in the first channel, (7/10 - 1) / 0.1 = -3 in the second.
        Assert.Equal(-0.8f, images[0], 1e-6f);
        Assert.Equal(-3f, images[6], 1e-5f);
        Assert.Equal((2.4f - 1) * 10, images[23], 1e-5f);
    }

    [Fact]
    public void A_short_batch_leaves_the_rest_of_the_memory_alone()
    {
        var loader = new BatchLoader(Data.Subset([0, 1, 0]), new BatchPlan(3, 2, 1));
        var images = Enumerable.Repeat(99f, 24).ToArray();
        var labels = new long[] { 99, 99 };
        Assert.Equal(1, loader.SizeOf(new BatchPosition(0, 1)));
        Assert.Equal(1, loader.Load(new BatchPosition(0, 1), images, labels));
        Assert.All(images[12..], v => Assert.Equal(99f, v));
        Assert.Equal(99, labels[1]);
    }

    [Fact]
    public void Too_little_room_and_a_foreign_plan_are_refused()
    {
        var loader = new BatchLoader(Data, new BatchPlan(2, 2, 1));
        Assert.Throws<ArgumentException>(() => loader.Load(new BatchPosition(0, 0), new float[23], new long[2]));
        Assert.Throws<ArgumentException>(() => loader.Load(new BatchPosition(0, 0), new float[24], new long[1]));
        Assert.Throws<ArgumentException>(() => new BatchLoader(Data, new BatchPlan(3, 2, 1)));
    }

    [Fact]
    public void Augmented_images_are_shifts_and_mirror_images_with_black_around()
    {
        // One channel of 3 x 3 with values 1..9, normalised to themselves; every possible result, worked out in two dimensions.
        var format = new ImageFormat("test", ["a"], 1, 3, 3, 1, [0], [1]);
        var data = new ImageDataset(format, [1, 2, 3, 4, 5, 6, 7, 8, 9], [0]);
        var expected = new HashSet<string>();
        foreach (bool flip in new[] { false, true })
        {
            int[] mirrored = flip ? [3, 2, 1, 6, 5, 4, 9, 8, 7] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
            for (int down = -1; down <= 1; down++)
            {
                for (int right = -1; right <= 1; right++)
                    expected.Add(string.Join(" ", Moved(mirrored, down, right)));
            }
        }
        var loader = new BatchLoader(data, new BatchPlan(1, 1, 3), new Augmentation(1, true));
        var seen = new Dictionary<string, int>();
        var image = new float[9];
        for (int epoch = 0; epoch < 9000; epoch++)
        {
            loader.Load(new BatchPosition(epoch, 0), image, new long[1]);
            string text = string.Join(" ", image);
            seen[text] = seen.GetValueOrDefault(text) + 1;
        }
        Assert.Equal(expected.Order(), seen.Keys.Order());
        // 18 results, 500 times each on average: 17 degrees of freedom, below 40.8 with probability 0.999.
        Assert.InRange(seen.Values.Sum(c => (c - 500.0) * (c - 500.0) / 500), 0, 40.8);
    }

    [Fact]
    public void Black_is_the_normalised_zero()
    {
        var format = new ImageFormat("test", ["a"], 1, 1, 1, 255, [0.5f], [0.25f]);
        var loader = new BatchLoader(new ImageDataset(format, [255], [0]), new BatchPlan(1, 1, 3), new Augmentation(1));
        var values = new HashSet<float>();
        var image = new float[1];
        for (int epoch = 0; epoch < 100; epoch++)
        {
            loader.Load(new BatchPosition(epoch, 0), image, new long[1]);
            values.Add(image[0]);
        }
        Assert.Equal([-2f, 2f], values.Order());
    }

    [Fact]
    public void What_becomes_of_an_image_does_not_depend_on_its_batch()
    {
        var (train, _) = Digits.Load();
        static Dictionary<int, float[]> Images(ImageDataset data, int batchSize)
        {
            var loader = new BatchLoader(data, new BatchPlan(data.Count, batchSize, 5), new Augmentation(2, true));
            var images = new float[batchSize * 64];
            var result = new Dictionary<int, float[]>();
            for (int b = 0; b < loader.Plan.BatchesPerEpoch; b++)
            {
                var position = new BatchPosition(3, b);
                loader.Load(position, images, new long[batchSize]);
                var indices = loader.Plan.Indices(position);
                for (int i = 0; i < indices.Length; i++)
                    result[indices[i]] = images.AsSpan(i * 64, 64).ToArray();
            }
            return result;
        }
        var small = Images(train, 16);
        Assert.Equal(train.Count, small.Count);
        Assert.All(Images(train, 100), pair => Assert.Equal(small[pair.Key], pair.Value));
    }

    [Fact]
    public void Loading_allocates_nothing()
    {
        var (train, _) = Digits.Load();
        var loader = new BatchLoader(train, new BatchPlan(train.Count, 32, 5), new Augmentation(1));
        var images = new float[32 * 64];
        var labels = new long[32];
        loader.Load(new BatchPosition(0, 0), images, labels);
        Assert.Equal(0, Allocation.Of(() =>
        {
            for (int step = 1; step < 100; step++)
                loader.Load(loader.Plan.PositionAt(step), images, labels);
        }));
    }

    private static int[] Moved(int[] image, int down, int right)
    {
        var moved = new int[9];
        for (int i = 0; i < 9; i++)
        {
            int y = i / 3 + down, x = i % 3 + right;
            if (y is >= 0 and < 3 && x is >= 0 and < 3)
                moved[y * 3 + x] = image[i];
        }
        return moved;
    }
}
