using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public unsafe class PackBuffersTests
{
    [Fact]
    public void What_one_thread_packs_lies_far_from_what_another_does()
    {
        const int Threads = 4, Length = 10_000;
        const long Far = 256 << 10;
        var starts = new System.Collections.Concurrent.ConcurrentBag<long>();
        using var together = new Barrier(Threads);
        var threads = Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            // All ask for the same at a time, so that neighbours in memory belong to different threads; and none ends before the others have.
            starts.Add((long)PackBuffers.A(Length));
            together.SignalAndWait();
            starts.Add((long)PackBuffers.B(Length));
            together.SignalAndWait();
            starts.Add((long)PackBuffers.Rows(Length));
            together.SignalAndWait();
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());

        var places = starts.Order().ToList();
        Assert.Equal(3 * Threads, places.Count);
        Assert.All(places.Zip(places.Skip(1)), pair => Assert.InRange(pair.Second - pair.First, (Length * sizeof(float)) + Far, long.MaxValue));
    }
}
