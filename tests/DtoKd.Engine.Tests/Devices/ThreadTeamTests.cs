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

    // A team uses one object for all its loops: whoever comes late to one meets the next.

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Loops_in_quick_succession_lose_and_double_no_block(int threads)
    {
        using var team = new ThreadTeam(threads);
        for (int round = 0; round < 20_000; round++)
        {
            var counts = new int[1 + (round % 9)];
            if (round % 2 == 0)
            {
                team.For(counts.Length, block => Interlocked.Increment(ref counts[block]));
            }
            else
            {
                team.ForRange(counts.Length, 2, (start, end) =>
                {
                    for (long i = start; i < end; i++)
                        Interlocked.Increment(ref counts[i]);
                });
            }

            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    public void A_loop_ends_with_its_slowest_block_and_the_next_begins_afresh(int threads)
    {
        using var team = new ThreadTeam(threads);
        for (int round = 0; round < 300; round++)
        {
            var counts = new int[4];
            int slow = round % 4;
            team.For(4, block =>
            {
                if (block == slow)
                    Thread.SpinWait(20_000);
                Interlocked.Increment(ref counts[block]);
            });
            Assert.Equal([1, 1, 1, 1], counts);
            int sum = 0;
            for (int i = 0; i < 20; i++)
                team.For(2, _ => Interlocked.Increment(ref sum));
            Assert.Equal(40, sum);
        }
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(2, 4)]
    [InlineData(3, 7)]
    public void While_one_block_waits_others_run_all_the_rest(int threads, int waiting)
    {
        const int Blocks = 8;
        using var team = new ThreadTeam(threads);
        using var othersRan = new CountdownEvent(Blocks - 1);
        bool inTime = false;
        team.For(Blocks, block =>
        {
            if (block == waiting)
                inTime = othersRan.Wait(TimeSpan.FromMinutes(1));
            else
                othersRan.Signal();
        });
        Assert.True(inTime, "the blocks next to one that waits were left to its thread");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Callers_with_nested_loops_that_fail_each_get_their_own_work_and_exception(int threads)
    {
        const int Callers = 3, Rounds = 2000;
        using var team = new ThreadTeam(threads);
        var ran = new int[Callers];
        var failed = new int[Callers];
        var callers = Enumerable.Range(0, Callers).Select(c => new Thread(() =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                string expected = $"caller {c}, round {round}";
                try
                {
                    team.For(4, block =>
                    {
                        team.ForRange(6, 2, (start, end) => Interlocked.Add(ref ran[c], (int)(end - start)));
                        if (block == 3 && round % 3 == 0)
                            throw new InvalidOperationException(expected);
                    });
                }
                catch (InvalidOperationException exception) when (exception.Message == expected)
                {
                    failed[c]++;
                }
            }
        })).ToList();
        callers.ForEach(caller => caller.Start());
        callers.ForEach(caller => caller.Join());
        Assert.All(ran, sum => Assert.Equal(Rounds * 4 * 6, sum));
        Assert.All(failed, count => Assert.Equal((Rounds + 2) / 3, count));
    }

    [Fact]
    public void A_loop_takes_no_memory_of_its_own()
    {
        using var team = new ThreadTeam(2);
        int sum = 0;
        Action<int> block = _ => Interlocked.Increment(ref sum);
        Action<long, long> range = (start, end) => Interlocked.Add(ref sum, (int)(end - start));
        Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(2 * 100 * (8 + 8), sum);

        void Run()
        {
            for (int i = 0; i < 100; i++)
            {
                team.For(8, block);
                team.ForRange(8, 2, range);
            }
        }
    }

    [Fact]
    public void A_loop_that_has_ended_is_forgotten()
    {
        using var team = new ThreadTeam(2);
        var captured = Loop();
        GC.Collect();
        Assert.False(captured.IsAlive);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        WeakReference Loop()
        {
            int[] sums = new int[4];
            team.For(4, block => sums[block]++);
            return new WeakReference(sums);
        }
    }
}
