using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public sealed class WindowsTests : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly Step _step;

    public WindowsTests() => _step = Step.Evaluation(_device);

    public void Dispose()
    {
        _step.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Windows_are_numbered_row_by_row_as_are_their_places()
    {
        var windows = Op.WindowPartition(Counted([1, 4, 4, 1]), 2);
        Assert.Equal([0f, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15], windows.ToArray<float>());
    }

    [Theory]
    [InlineData(2, 4, 6, 2)]
    [InlineData(1, 7, 7, 7)]
    [InlineData(3, 3, 9, 3)]
    public void Reversing_undoes_partitioning(int b, int h, int w, int window)
    {
        var x = Counted([b, h, w, 5]);
        Assert.Equal(x.ToArray<float>(), Op.WindowReverse(Op.WindowPartition(x, window), window, h, w).ToArray<float>());
    }

    [Fact]
    public void Merging_takes_the_rows_of_a_column_before_the_next_column()
    {
        var merged = Op.PatchMerging(Counted([1, 2, 2, 1]));
        Assert.Equal(new Shape(1, 1, 1, 4), merged.Shape);
        Assert.Equal([0f, 2, 1, 3], merged.ToArray<float>());
    }

    [Fact]
    public void Merging_pads_odd_sides_with_zeros()
    {
        var merged = Op.PatchMerging(Op.Affine(Counted([1, 1, 3, 1]), 1, 1));
        Assert.Equal([1f, 0, 2, 0, 3, 0, 0, 0], merged.ToArray<float>());
    }

    [Theory]
    [InlineData(6, 9, 3, 1, 2)]
    [InlineData(8, 8, 4, 2, 2)]
    [InlineData(7, 14, 7, 0, 3)]
    public void The_mask_is_zero_exactly_between_places_that_were_in_one_stretch_before_the_roll(
        int height, int width, int window, int down, int right)
    {
        // Rolling back by (down, right) tells where each place came from; a window is whole if it did not cross the edge.
        var rolled = Op.Roll(Counted([1, height, width, 1]), [-down, -right], [1, 2]);
        var places = Op.WindowPartition(rolled, window).ToArray<float>();
        var mask = Op.ShiftMask(_step, height, width, window, down, right).ToArray<float>();
        int tokens = window * window;
        for (int i = 0; i < mask.Length; i++)
        {
            int tile = i / (tokens * tokens) * tokens;
            int query = (int)places[tile + (i / tokens % tokens)], key = (int)places[tile + (i % tokens)];
            bool near = Math.Abs((query / width) - (key / width)) < window && Math.Abs((query % width) - (key % width)) < window;
            Assert.Equal(near ? 0 : -100, mask[i]);
        }
    }

    [Fact]
    public void Attention_does_not_cross_the_seam_of_a_shifted_map()
    {
        const int Window = 2, Side = 4;
        var table = _step.Zeros([9, 1]);
        // Values of 1 in the first row and column of the map, 0 elsewhere; queries and keys are 0.
        var values = new float[Side * Side];
        for (int i = 0; i < values.Length; i++)
            values[i] = i < Side || i % Side == 0 ? 1 : 0;
        var map = Op.Pad(_step.From(values, [1, Side, Side, 1]), [2, 0]);
        var y = Op.WindowAttention(map, 1, table, Window, 1, 1);
        // e^-100 is the least that crosses.
        Assert.All(y.ToArray<float>().Zip(values), pair => Assert.Equal(pair.Second, pair.First, 1e-40f));
    }

    private Tensor Counted(Shape shape) => _step.From([.. Enumerable.Range(0, (int)shape.Count).Select(i => (float)i)], shape);
}
