using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public class ThreadTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Every_block_runs_exactly_once(int threads)
    {
        using var team = new ThreadTeam(threads);
        for (int round = 0; round < 200; round++)
        {
            var counts = new int[round];
            team.For(round, block => Interlocked.Increment(ref counts[block]));
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void Ranges_cover_everything_once_with_a_shorter_last_piece()
    {
        using var team = new ThreadTeam(3);
        var pieces = new System.Collections.Concurrent.ConcurrentBag<(long, long)>();
        team.ForRange(10, 4, (start, end) => pieces.Add((start, end)));
        Assert.Equal([(0, 4), (4, 8), (8, 10)], pieces.Order());
    }

    [Fact]
    public void Work_begun_inside_a_block_runs_there()
    {
        using var team = new ThreadTeam(2);
        int sum = 0;
        team.For(4, _ => team.For(5, _ => Interlocked.Increment(ref sum)));
        Assert.Equal(20, sum);
    }

    [Fact]
    public void Two_callers_at_once_both_get_their_work_done()
    {
        using var team = new ThreadTeam(2);
        var sums = new int[2];
        var callers = Enumerable.Range(0, 2).Select(c => new Thread(() =>
        {
            for (int i = 0; i < 500; i++)
                team.For(3, _ => Interlocked.Increment(ref sums[c]));
        })).ToList();
        callers.ForEach(caller => caller.Start());
        callers.ForEach(caller => caller.Join());
        Assert.Equal([1500, 1500], sums);
    }

    [Fact]
    public void An_exception_reaches_the_caller_after_the_other_blocks_ran()
    {
        using var team = new ThreadTeam(2);
        int ran = 0;
        Assert.Throws<InvalidOperationException>(() => team.For(20, block =>
        {
            Interlocked.Increment(ref ran);
            if (block == 3)
                throw new InvalidOperationException("block 3");
        }));
        Assert.Equal(20, ran);
        team.For(2, _ => Interlocked.Increment(ref ran));
        Assert.Equal(22, ran);
    }

    [Fact]
    public void Workers_that_fell_asleep_wake_up()
    {
        using var team = new ThreadTeam(2);
        for (int round = 0; round < 3; round++)
        {
            Thread.Sleep(50);
            int sum = 0;
            team.For(100, _ => Interlocked.Increment(ref sum));
            Assert.Equal(100, sum);
        }
    }
}
