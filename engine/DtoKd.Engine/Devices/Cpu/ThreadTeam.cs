using System.Runtime.ExceptionServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// A fixed team of threads that shares out numbered blocks of work. The calling thread is a member, so a team of one has no
/// workers at all.
/// </summary>
/// <remarks>
/// Blocks are dealt out in runs of neighbours, the first run to the caller, and a thread that has none left takes from the others.
/// So the same images mostly meet the same thread in one operation after another: where the cores share no cache, what another
/// core has written comes from as far as memory. What a block computes does not depend on the thread. Kernels cut their work by
/// shape, never by the number of threads, so results are the same bytes for any team.
/// A worker that finds no work spins for a bounded number of turns, to cover the gap between two operations of a training step, and
/// gives way meanwhile to whoever wants its processor; then it sleeps. So neither an idle program nor a second process on the machine
/// is disturbed.
/// </remarks>
public sealed class ThreadTeam : IDisposable
{
    private const int SpinsBeforeSleep = 2000;

    // With more threads than processors, or another program, the block that is waited for may be waiting for this processor.
    private const int SpinsBeforeYield = 32;

    [ThreadStatic]
    private static bool _insideBlock;

    private readonly Thread[] _workers;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _oneCaller = new();
    private readonly Loop _loop;
    private volatile int _sleepers;
    private volatile bool _stopping;

    /// <summary>Starts a team.</summary>
    /// <param name="threads">Members, the caller included; at least 1.</param>
    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _loop = new Loop(threads);
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int member = i + 1;
            _workers[i] = new Thread(() => Work(member)) { IsBackground = true, Name = $"dtokd worker {i + 1}" };
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
            _loop.TakeBlocks(0);
            _insideBlock = false;
            _loop.End();
        }
        finally
        {
            _oneCaller.Exit();
        }
    }

    private void Work(int member)
    {
        _insideBlock = true;
        while (!_stopping)
        {
            int begun = _loop.Begun;
            _loop.TakeBlocks(member);
            AwaitLoop(begun);
        }
    }

    /// <summary>Returns when more than so many loops have begun, when the team stops, and at times for nothing.</summary>
    private void AwaitLoop(int begun)
    {
        for (int spins = 1; spins < SpinsBeforeSleep; spins++)
        {
            if (_loop.Begun != begun || _stopping)
                return;
            if (spins % SpinsBeforeYield == 0)
                Thread.Yield();
            else
                Thread.SpinWait(10);
        }

        Interlocked.Increment(ref _sleepers);
        if (_loop.Begun == begun && !_stopping)
            _wake.Wait();
        Interlocked.Decrement(ref _sleepers);
    }

    /// <summary>The loop under way. One object serves all of a team's loops, one after another: a step has hundreds.</summary>
    /// <remarks>
    /// A worker may come late, when its loop has ended or the next one has begun. It has a block only if it took it out of a member's
    /// range; <see cref="Begin(int, Action{int})"/> fills the ranges after all else, and <see cref="End"/> waits until every block that
    /// was taken has run. So whoever has a block reads the body and the bounds of that block's loop, and nobody reads them while they
    /// change. A late worker gets nothing, or a block of the loop that has begun since, which is as good.
    /// </remarks>
    private sealed class Loop(int members)
    {
        // Two lines of the cache, which are fetched in pairs.
        private const int Stride = 128 / sizeof(long);

        // For each member its blocks that are left: the first, and in the upper half the one behind the last.
        private readonly long[] _ranges = new long[members * Stride];
        private Action<int>? _body;
        private Action<long, long>? _rangeBody;
        private long _length;
        private long _grain;
        private ExceptionDispatchInfo? _failure;
        private int _unfinished;
        private int _begun;

        /// <summary>The number of loops that have begun.</summary>
        public int Begun => Volatile.Read(ref _begun);

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

        /// <summary>Runs blocks until all are taken: first those of the member's own range.</summary>
        public void TakeBlocks(int member)
        {
            int ran = 0;
            for (int i = 0; i < members; i++)
            {
                while (TryTake((member + i) % members, fromStart: i == 0, out int block))
                {
                    try
                    {
                        Run(block);
                    }
                    catch (Exception exception)
                    {
                        _failure ??= ExceptionDispatchInfo.Capture(exception);
                    }

                    ran++;
                }
            }

            if (ran > 0)
                Interlocked.Add(ref _unfinished, -ran);
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
            _unfinished = blocks;
            for (int member = 0; member < members; member++)
                Volatile.Write(ref _ranges[member * Stride], Start(member) | (Start(member + 1) << 32));

            Volatile.Write(ref _begun, _begun + 1);

            long Start(int member) => (((long)blocks * member) + members - 1) / members;
        }

        private bool TryTake(int member, bool fromStart, out int block)
        {
            ref long range = ref _ranges[member * Stride];
            long seen = Volatile.Read(ref range);
            while (true)
            {
                int start = (int)seen, end = (int)(seen >> 32);
                block = fromStart ? start : end - 1;
                if (start >= end)
                    return false;
                long was = Interlocked.CompareExchange(ref range, fromStart ? seen + 1 : seen - (1L << 32), seen);
                if (was == seen)
                    return true;
                seen = was;
            }
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
