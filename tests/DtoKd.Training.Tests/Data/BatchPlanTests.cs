using DtoKd.Training.Data;
using FsCheck;
using FsCheck.Xunit;

namespace DtoKd.Training.Tests.Data;

public class BatchPlanTests
{
    [Property]
    public void Every_epoch_has_every_image_exactly_once(
        PositiveInt count, PositiveInt batchSize, ulong seed, byte epoch, bool shuffle)
    {
        var plan = new BatchPlan(count.Get, batchSize.Get, seed, shuffle);
        var seen = new List<int>();
        for (int b = 0; b < plan.BatchesPerEpoch; b++)
            seen.AddRange(plan.Indices(new BatchPosition(epoch, b)));
        Assert.Equal(Enumerable.Range(0, count.Get), seen.Order());
    }

    [Theory]
    [InlineData(10, 4, false, new[] { 4, 4, 2 })]
    [InlineData(10, 4, true, new[] { 4, 4 })]
    [InlineData(8, 4, true, new[] { 4, 4 })]
    [InlineData(3, 4, true, new[] { 3 })]
    public void A_short_last_batch_is_kept_or_dropped_but_never_the_only_one(int count, int batchSize, bool drop, int[] sizes)
    {
        var plan = new BatchPlan(count, batchSize, 1, dropLast: drop);
        Assert.Equal(sizes, Enumerable.Range(0, plan.BatchesPerEpoch).Select(b => plan.Indices(new BatchPosition(0, b)).Length));
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.Indices(new BatchPosition(0, sizes.Length)).Length);
    }

    [Fact]
    public void A_batch_does_not_depend_on_what_was_asked_before()
    {
        var walked = new BatchPlan(1000, 64, 42);
        for (int step = 0; step < 40; step++)
            walked.Indices(walked.PositionAt(step));
        var position = new BatchPosition(2, 9);
        Assert.Equal(position, walked.PositionAt(41));
        Assert.Equal(new BatchPlan(1000, 64, 42).Indices(position).ToArray(), walked.Indices(position).ToArray());
    }

    [Fact]
    public void Epochs_and_seeds_have_orders_of_their_own()
    {
        var orders = new[] { (1UL, 0), (1UL, 1), (2UL, 0) }
            .Select(p => string.Join(" ", new BatchPlan(100, 100, p.Item1).Indices(new BatchPosition(p.Item2, 0)).ToArray()));
        Assert.Equal(3, orders.Distinct().Count());
    }

    [Fact]
    public void All_orders_are_equally_likely()
    {
        // 24 orders of four images, 500 epochs each on average: chi-square with 23 degrees of freedom below 49.7 (0.999).
        var plan = new BatchPlan(4, 4, 7);
        var counts = Enumerable.Range(0, 12_000)
            .GroupBy(epoch => string.Join("", plan.Indices(new BatchPosition(epoch, 0)).ToArray()))
            .Select(g => g.Count())
            .ToArray();
        Assert.Equal(24, counts.Length);
        Assert.InRange(counts.Sum(c => (c - 500.0) * (c - 500.0) / 500), 0, 49.7);
    }

    [Fact]
    public void Next_walks_like_PositionAt()
    {
        var plan = new BatchPlan(10, 4, 1);
        var position = new BatchPosition(0, 0);
        for (int step = 0; step < 20; step++, position = plan.Next(position))
            Assert.Equal(plan.PositionAt(step), position);
    }
}
