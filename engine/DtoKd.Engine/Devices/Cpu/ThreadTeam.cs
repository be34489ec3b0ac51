using System.Runtime.ExceptionServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// A fixed team of threads that shares out numbered blocks of work. The calling thread is a member, so a team of one has no
/// workers at all.
/// </summary>
/// <remarks>
/// Which thread runs which block is left to chance; what a block computes is not. Kernels cut their work by shape, never by
/// the number of threads, so results are the same bytes for any team.
/// A worker that finds no work spins for a bounded number of turns, to cover the gap between two operations of a training step,
/// then sleeps, so that an idle program and a second process on the machine are not disturbed.
/// </remarks>
public sealed class ThreadTeam : IDisposable
{
    private const int SpinsBeforeSleep = 2000;

    [ThreadStatic]
    private static bool _insideBlock;

    private readonly Thread[] _workers;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _oneCaller = new();
    private volatile Job? _job;
    private volatile int _sleepers;
    private volatile bool _stopping;

    /// <summary>Starts a team.</summary>
    /// <param name="threads">Members, the caller included; at least 1.</param>
    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Thread(Work) { IsBackground = true, Name = $"dtokd worker {i + 1}" };
            _workers[i].Start();
        }
    }

    /// <summary>The number of members, the caller included.</summary>
    public int Threads { get; }

    /// <summary>Runs <paramref name="body"/> for 0 .. <paramref name="blocks"/> - 1 and returns when all are done.</summary>
    /// <remarks>Called from inside a block, or while another thread uses the team, the blocks run on the calling thread.</remarks>
    /// <exception cref="Exception">The first exception that a block threw; the other blocks still run.</exception>
    public void For(int blocks, Action<int> body)
    {
        if (TryEnter(blocks))
        {
            Share(new BlockJob(blocks, body));
            return;
        }

        for (int i = 0; i < blocks; i++)
            body(i);
    }

    /// <summary>
    /// Cuts 0 .. <paramref name="length"/> into pieces of <paramref name="grain"/> (the last may be shorter) and runs
    /// <paramref name="body"/>(start, end) on each.
    /// </summary>
    /// <remarks>As <see cref="For"/>.</remarks>
    public void ForRange(long length, long grain, Action<long, long> body)
    {
        int pieces = checked((int)((length + grain - 1) / grain));
        if (TryEnter(pieces))
        {
            Share(new RangeJob(pieces, length, grain, body));
            return;
        }

        for (long start = 0; start < length; start += grain)
            body(start, Math.Min(start + grain, length));
    }

    /// <summary>Stops the workers.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        _wake.Release(_workers.Length + 1);
        foreach (var worker in _workers)
            worker.Join();
        _wake.Dispose();
    }

    /// <summary>Whether work of so many blocks is to be shared out, by this caller: then <see cref="Share"/> has to follow.</summary>
    private bool TryEnter(int blocks) => blocks > 1 && _workers.Length > 0 && !_insideBlock && _oneCaller.TryEnter();

    private void Share(Job job)
    {
        try
        {
            _job = job;
            // The store of the job must be seen before the number of sleepers is read, and a worker announces its sleep
            // before it looks for a job a last time: one of the two always sees the other.
            Interlocked.MemoryBarrier();
            int sleepers = Math.Min(_sleepers, job.Blocks - 1);
            if (sleepers > 0)
                _wake.Release(sleepers);

            Take(job);
            var spin = new SpinWait();
            while (!job.IsDone)
                spin.SpinOnce(sleep1Threshold: -1);
            _job = null;
            job.Failure?.Throw();
        }
        finally
        {
            _oneCaller.Exit();
        }
    }

    private void Work()
    {
        Job? last = null;
        while (!_stopping)
        {
            var job = NextJob(last);
            if (job is null)
                continue;
            Take(job);
            last = job;
        }
    }

    private Job? NextJob(Job? last)
    {
        for (int spins = 0; spins < SpinsBeforeSleep; spins++)
        {
            if (_stopping)
                return null;
            if (_job is { } job && job != last)
                return job;
            Thread.SpinWait(10);
        }

        Interlocked.Increment(ref _sleepers);
        if ((_job is null || _job == last) && !_stopping)
            _wake.Wait();
        Interlocked.Decrement(ref _sleepers);
        return null;
    }

    private static void Take(Job job)
    {
        _insideBlock = true;
        job.TakeBlocks();
        _insideBlock = false;
    }

    private sealed class BlockJob(int blocks, Action<int> body) : Job(blocks)
    {
        protected override void Run(int block) => body(block);
    }

    private sealed class RangeJob(int pieces, long length, long grain, Action<long, long> body) : Job(pieces)
    {
        protected override void Run(int block) => body(block * grain, Math.Min((block + 1) * grain, length));
    }

    private abstract class Job(int blocks)
    {
        private int _next;
        private int _done;

        public int Blocks => blocks;

        public ExceptionDispatchInfo? Failure { get; private set; }

        public bool IsDone => Volatile.Read(ref _done) == blocks;

        public void TakeBlocks()
        {
            int block;
            while ((block = Interlocked.Increment(ref _next) - 1) < blocks)
            {
                try
                {
                    Run(block);
                }
                catch (Exception exception)
                {
                    Failure ??= ExceptionDispatchInfo.Capture(exception);
                }

                Interlocked.Increment(ref _done);
            }
        }

        protected abstract void Run(int block);
    }
}
