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
    private readonly Loop _loop = new();
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
    /// <exception cref="Exception">The first exception that a block threw; of blocks that are shared out, the others still run.</exception>
    public void For(int blocks, Action<int> body)
    {
        if (TryEnter(blocks))
        {
            _loop.Begin(blocks, body);
            Share(blocks);
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
            _loop.Begin(pieces, length, grain, body);
            Share(pieces);
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

    private void Share(int blocks)
    {
        try
        {
            // The loop must be seen to have begun before the number of sleepers is read, and a worker announces its sleep before
            // it looks for blocks a last time: one of the two always sees the other.
            Interlocked.MemoryBarrier();
            int sleepers = Math.Min(_sleepers, blocks - 1);
            if (sleepers > 0)
                _wake.Release(sleepers);

            _insideBlock = true;
            _loop.TakeBlocks();
            _insideBlock = false;
            _loop.End();
        }
        finally
        {
            _oneCaller.Exit();
        }
    }

    private void Work()
    {
        _insideBlock = true;
        while (!_stopping)
        {
            _loop.TakeBlocks();
            AwaitBlocks();
        }
    }

    /// <summary>Returns when there are blocks to take, when the team stops, and at times for nothing.</summary>
    private void AwaitBlocks()
    {
        for (int spins = 0; spins < SpinsBeforeSleep; spins++)
        {
            if (_loop.HasBlocks || _stopping)
                return;
            Thread.SpinWait(10);
        }

        Interlocked.Increment(ref _sleepers);
        if (!_loop.HasBlocks && !_stopping)
            _wake.Wait();
        Interlocked.Decrement(ref _sleepers);
    }

    /// <summary>The loop under way. One object serves all of a team's loops, one after another: a step has hundreds.</summary>
    /// <remarks>
    /// A worker may come late, when its loop has ended or the next one has begun. It has a block only if it counted <c>_left</c> down
    /// from above 0; <see cref="Begin(int, Action{int})"/> makes that count the last of all, and <see cref="End"/> waits until every
    /// block that was taken has run. So whoever has a block reads the body and the bounds of that block's loop, and nobody reads them
    /// while they change. A late worker gets nothing, or a block of the loop that has begun since, which is as good.
    /// </remarks>
    private sealed class Loop
    {
        private Action<int>? _body;
        private Action<long, long>? _rangeBody;
        private int _blocks;
        private long _length;
        private long _grain;
        private ExceptionDispatchInfo? _failure;
        private int _unfinished;
        private int _left;

        /// <summary>Whether there are blocks that nobody has taken.</summary>
        public bool HasBlocks => Volatile.Read(ref _left) > 0;

        public void Begin(int blocks, Action<int> body)
        {
            _body = body;
            Begin(blocks);
        }

        public void Begin(int pieces, long length, long grain, Action<long, long> body)
        {
            (_rangeBody, _length, _grain) = (body, length, grain);
            Begin(pieces);
        }

        /// <summary>Runs blocks until all are taken.</summary>
        public void TakeBlocks()
        {
            int left;
            while (HasBlocks && (left = Interlocked.Decrement(ref _left)) >= 0)
            {
                try
                {
                    Run(_blocks - 1 - left);
                }
                catch (Exception exception)
                {
                    _failure ??= ExceptionDispatchInfo.Capture(exception);
                }

                Interlocked.Decrement(ref _unfinished);
            }
        }

        /// <summary>Waits for the blocks that others run.</summary>
        /// <exception cref="Exception">The first one that a block threw.</exception>
        public void End()
        {
            var spin = new SpinWait();
            while (Volatile.Read(ref _unfinished) > 0)
                spin.SpinOnce(sleep1Threshold: -1);
            var failure = _failure;
            (_body, _rangeBody, _failure) = (null, null, null);
            failure?.Throw();
        }

        private void Begin(int blocks)
        {
            _blocks = blocks;
            _unfinished = blocks;
            Volatile.Write(ref _left, blocks);
        }

        private void Run(int block)
        {
            if (_body is { } body)
                body(block);
            else
                _rangeBody!(block * _grain, Math.Min((block + 1) * _grain, _length));
        }
    }
}
