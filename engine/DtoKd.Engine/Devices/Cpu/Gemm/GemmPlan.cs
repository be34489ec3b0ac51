using System.Runtime.Intrinsics.X86;
using static DtoKd.Engine.Cpu.Split;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The blocking of one product. The columns of B, or the rows of A where they are less than half as many, are packed slab by slab, for all threads
/// or by each for itself. Each thread then takes some panels of the other operand, packs them one block of K at a time and multiplies them
/// with the whole slab.
/// </summary>
/// <remarks>
/// Three levels, after Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008): a panel of the slab
/// passes through the L1 cache, what a thread has taken stays in its L2, and the slab in the L3. So each operand is packed once,
/// the larger one by many threads at once and fetched while the one before it computes. Who computes an element never changes
/// its sum: the cuts along K follow from the shape alone.
/// Of a <see cref="LongSum"/> the slab has a part of each piece of K, and a thread begins with those of the same rows that it meets in
/// other operations.
/// </remarks>
internal unsafe struct GemmPlan<TKernel>
    where TKernel : struct, IMicroKernel
{
    // 8 MiB: inside the L3 of a desktop, and few enough slabs that packing the other operand anew for each costs little.
    private const int SlabDepth = 2048;
    private const int SlabElements = 2 << 20;

    // About 128 lines of one block of K take some 10 microseconds to pack: worth a task.
    private const int LinesPerTask = 128;

    // About 10 microseconds of one thread: below that taking a share costs more than it brings.
    private const double FlopsPerShare = 1e6;

    // The last panels of each section are cut across the slab too, so that threads end nearly together.
    private const int TailPanels = 2;
    private const int MostParts = 4;

    // Packing an element of 768 x 192 took as long as 27 to 43 multiply-adds; with two threads and twice as many lines, what each packs
    // beyond its half is 5 to 8 % of its products.
    private const int LinesToPackAlone = 256;

    // Two lines of the cache: neighbours are fetched in pairs.
    private const int CounterStride = 32;

    // 4 KiB: at multiples of that all rows lie in one set of an L1 of 32 KiB, and drive one another out.
    private const int SetStride = 1024;

    // 512 bytes: at multiples of that rows share an eighth of the sets.
    private const int CrowdedStride = 128;

    private const int LineElements = Pool.Alignment / sizeof(float);

    // A block of K and a line of the cache more: an odd number of lines, so that rows do not share the sets of the L1.
    private const int RowPitch = Gemm.DepthBlock + LineElements;

    private readonly Operand _shared;
    private readonly Operand _own;
    private readonly bool _takesColumns;
    private readonly int _k;
    private readonly float* _c;
    private readonly long _cStride;
    private readonly GemmEpilogue _epilogue;
    private readonly int _pieces;
    private readonly float* _sums;
    private readonly long _sumsLength;
    private readonly int _columns;
    private readonly int _depthBlocks;
    private readonly int _depth;
    private readonly int _slabLines;
    private readonly int _slabBlocks;
    private readonly bool _fetchesPanels;
    private readonly int _packLines;
    private readonly int _panels;
    private readonly int _threads;
    private readonly int _sections;
    private readonly int _fewest;
    private readonly int _most;
    private readonly int _tail;
    private readonly int _parts;

    private int _firstPiece;
    private int _endPiece;
    private float* _slab;
    private int _firstLine;
    private int _lines;
    private int _firstBlock;
    private int _blocks;

    public GemmPlan(
        int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue, in LongSum sum, int threads)
    {
        _k = k;
        _pieces = _endPiece = sum.Pieces;
        _sums = sum.Others;
        _sumsLength = (long)m * n;
        _columns = n;
        _c = c;
        _cStride = cStride;
        _epilogue = epilogue;
        _threads = threads;
        int longest = Math.Max(1, Pieces(k, _pieces));
        _depthBlocks = Pieces(longest, Gemm.DepthBlock);
        _depth = Even(longest, _depthBlocks, 8);

        // Of A transposed and B as it is, each step's panel lies in a few lines of the cache: the gradient of a weight, a long sum
        // over two tall matrices, would spend a tenth of its time packing them. And with few rows a packed B would hardly be read
        // more often than packing reads it.
        bool readsAInPlace = TKernel.ReadsInPlace && a.RowStride == 1 && b.ColumnStride == 1;
        bool readsBInPlace = readsAInPlace || (TKernel.ReadsInPlace && b.ColumnStride == 1 && (m <= 2 * TKernel.Rows || IsReadNear(b.RowStride)));
        // Rows of A far apart are read along fourteen lines of the cache at a time, which costs less than packing them.
        bool readsScatteredRows = TKernel.ReadsScatteredRows && a.ColumnStride == 1 && a.RowStride % SetStride != 0;
        var rows = new Operand(a, m, TKernel.Rows, TKernel.RowStep, readsAInPlace || readsScatteredRows);
        var columns = new Operand(b.Transposed, n, TKernel.Columns, TKernel.ColumnStep, readsBInPlace);
        // What comes before and after goes by rows: they stay with the thread that has them, unless the columns are many more.
        _takesColumns = n > 2 * (long)m;
        (_own, _shared) = _takesColumns ? (columns, rows) : (rows, columns);
        if (_shared.HasRuns)
            _shared = _shared with { InPlace = false };

        _slabBlocks = _shared.InPlace ? _depthBlocks : Math.Clamp(SlabDepth / _pieces / _depth, 1, _depthBlocks);
        int slabs = _shared.InPlace ? 1 : Pieces(_shared.Lines, SlabElements / _pieces / (_slabBlocks * _depth));
        _slabLines = Even(_shared.Lines, Math.Max(1, slabs), _shared.Width);

        // A block of two tall matrices is soon in the L2, whole; of a weight, or of rows far apart, what is near is the panel in use.
        _fetchesPanels = !readsAInPlace;
        _packLines = LinesPerTask / _shared.Width * _shared.Width;

        _panels = Pieces(_own.Lines, _own.Width);
        int sharedPanels = Math.Max(1, _slabLines / _shared.Width);
        double flops = 2.0 * _own.Width * _slabLines * Math.Min(k, _slabBlocks * _depth);
        _most = Math.Max(1, TKernel.BlockLines / _own.Width);
        _fewest = (int)Math.Clamp(FlopsPerShare / flops, 1, _most);
        _parts = (int)Math.Clamp(flops / FlopsPerShare, 1, Math.Min(MostParts, sharedPanels));
        _sections = Math.Max(1, threads / _pieces);
        _tail = threads < Math.Max(2, _pieces) || _parts == 1 ? 0 : TailPanels;
    }

    /// <summary>Slabs of the shared operand, to be taken in order.</summary>
    public readonly int Slabs => Pieces(_shared.Lines, _slabLines) * Pieces(_depthBlocks, _slabBlocks);

    /// <summary>Independent tasks that pack the slab.</summary>
    public readonly int PackTasks => (_endPiece - _firstPiece) * _blocks * PackTasksOfBlock;

    /// <summary>Shares of a slab's work if each is as small as can be: no more threads than that have work.</summary>
    public readonly int Units => _pieces * (_panels + (Math.Min(_panels, _tail * _sections) * (_parts - 1)));

    /// <summary>Elements of the buffer for a packed slab.</summary>
    public readonly long SlabLength => _shared.InPlace && _shared.LinesInPlace(_shared.Lines) == _shared.Lines
        ? 0
        : (_endPiece - _firstPiece) * _slabBlocks * BlockLength;

    /// <summary>The part of the plan that makes the sums of one piece of K.</summary>
    public readonly GemmPlan<TKernel> Of(int piece) => this with { _firstPiece = piece, _endPiece = piece + 1 };

    /// <summary>Turns to slab <paramref name="slab"/>.</summary>
    public void Select(int slab, float* buffer)
    {
        int depthSlabs = Pieces(_depthBlocks, _slabBlocks);
        _slab = buffer;
        _firstLine = slab / depthSlabs * _slabLines;
        _lines = Math.Min(_slabLines, _shared.Lines - _firstLine);
        _firstBlock = slab % depthSlabs * _slabBlocks;
        _blocks = Math.Min(_slabBlocks, _depthBlocks - _firstBlock);
    }

    /// <summary>
    /// Whether each thread packs the whole slab: where the other operand has so many lines that this costs 8 % at most. Otherwise each
    /// packs a part, and reads the rest out of the others' caches, which takes longer than packing where these share none.
    /// </summary>
    public readonly bool PacksAlone => _own.Lines >= (long)LinesToPackAlone * _threads * (_threads - 1);

    /// <summary>The same with the slab packed by this thread, in its scratch.</summary>
    public readonly GemmPlan<TKernel> Packed()
    {
        var packed = this with { _slab = PackBuffers.B(SlabLength) };
        for (int task = 0; task < PackTasks; task++)
            packed.Pack(task);
        return packed;
    }

    /// <summary>Packs some lines of one block of K; of an operand read in place, only an incomplete last panel.</summary>
    public readonly void Pack(int task)
    {
        int block = task / PackTasksOfBlock, piece = _firstPiece + (block / _blocks);
        block %= _blocks;
        int line = _shared.InPlace ? _shared.LinesInPlace(_lines) : task % PackTasksOfBlock * _packLines;
        int lines = Math.Min(_packLines, _lines - line);
        Pack(_shared, _firstLine + line, lines, StepOf(piece, block), DepthOf(piece, block), PackedPanel(piece, block, line));
    }

    /// <summary>Elements of the counters that <see cref="Take"/> needs, 0 at first.</summary>
    public readonly int Counters => _pieces * _sections * CounterStride;

    /// <summary>
    /// Takes the next share of the slab's work: of the member's own pieces of K and its own section or, when that is done, of others'.
    /// </summary>
    /// <param name="member">Which of the team's threads asks.</param>
    /// <param name="taken">What has been taken so far of each section.</param>
    /// <param name="share">The share.</param>
    /// <returns>Whether there was one left.</returns>
    public readonly bool Take(int member, int* taken, out GemmShare share)
    {
        int pieces = _endPiece - _firstPiece, own = (int)((long)pieces * member / _threads);
        for (int i = 0; i < pieces; i++)
        {
            int piece = _firstPiece + ((own + i) % pieces);
            for (int j = 0; j < _sections; j++)
            {
                int section = (member + j) % _sections;
                if (TakeOf(piece, section, ref taken[((piece * _sections) + section) * CounterStride], out share))
                    return true;
            }
        }

        share = default;
        return false;
    }

    // Shares become smaller towards the end of a section, so that no thread waits long for the last one.
    private readonly bool TakeOf(int piece, int section, ref int taken, out GemmShare share)
    {
        int start = (int)((long)_panels * section / _sections), end = (int)((long)_panels * (section + 1) / _sections);
        int whole = Math.Max(start, end - _tail);
        while (true)
        {
            int unit = Volatile.Read(ref taken), panel = start + unit;
            int count = 1;
            if (panel < whole)
            {
                count = _threads == 1 ? _most : Math.Clamp((end - panel) / 2, _fewest, _most);
                count = Math.Min(count, whole - panel);
                share = new GemmShare(piece, panel, count, 0, _lines);
            }
            else
            {
                int cut = panel - whole, part = cut % _parts;
                share = new GemmShare(
                    piece, whole + (cut / _parts), 1, Start(_lines, _shared.Width, part, _parts), Start(_lines, _shared.Width, part + 1, _parts));
            }

            if (share.Panel >= end)
                return false;
            if (Interlocked.CompareExchange(ref taken, unit + count, unit) == unit)
                return true;
        }
    }

    /// <summary>Computes a share's tiles of C over the slab's whole depth.</summary>
    public readonly void Compute(GemmShare share)
    {
        int piece = share.Piece, first = share.Panel * _own.Width;
        int lines = Math.Min(share.Panels * _own.Width, _own.Lines - first);
        int packedLines = _own.HasRuns ? lines : lines - _own.LinesInPlace(lines);
        float* packed = PackBuffers.A(PanelsLength(packedLines, _own.Width, _depth) + Packing.Overrun);
        // Likely the thread's next share.
        int nextFirst = first + (share.Panels * _own.Width);

        for (int block = 0; block < _blocks; block++)
        {
            int depth = DepthOf(piece, block), step = StepOf(piece, block);
            // Of an operand read in place, only an incomplete last panel is packed.
            int inPlace = _own.IsWhole(step, depth) ? _own.LinesInPlace(lines) : 0;
            Pack(_own, first + inPlace, lines - inPlace, step, depth, packed);
            bool goesOn = block + 1 < _blocks;
            var next = goesOn ? Rows(_own, first, lines, piece, block + 1) : Rows(_own, nextFirst, lines, piece, 0);
            var nextShared = default(PrefetchedBlock);
            PrefetchedBlock* early = _fetchesPanels ? &nextShared : &next, late = _fetchesPanels ? &next : &nextShared;
            for (int line = share.Start; line < share.End; line += _shared.Width)
            {
                bool sharedInPlace = line < _shared.LinesInPlace(_lines);
                float* sharedPanel = sharedInPlace ? _shared.At(_firstLine + line, step) : PackedPanel(piece, block, line);
                long sharedStride = sharedInPlace ? _shared.StepStride : _shared.Width;
                int sharedLines = Math.Min(_shared.Width, _lines - line);
                if (_shared.InPlace && (_fetchesPanels || line == share.Start))
                    nextShared = NextShared(share, line, block);
                for (int own = 0; own < lines; own += _own.Width)
                {
                    bool ownInPlace = own < inPlace;
                    float* ownPanel = ownInPlace ? _own.At(first + own, step) : packed + PanelsLength(own - inPlace, _own.Width, depth);
                    long ownStride = ownInPlace ? _own.StepStride : _own.Width;
                    int ownLines = Math.Min(_own.Width, lines - own);
                    var fetch = !early->IsDone ? early : !late->IsDone ? late : null;
                    if (_takesColumns)
                    {
                        Tile(piece, block, depth, _firstLine + line, first + own, sharedLines, ownLines,
                            new TilePanels(sharedPanel, sharedStride, ownPanel, ownStride) { ARowStride = sharedInPlace ? _shared.LineStride : _shared.PackedStride, Fetch = fetch });
                    }
                    else
                    {
                        Tile(piece, block, depth, first + own, _firstLine + line, ownLines, sharedLines,
                            new TilePanels(ownPanel, ownStride, sharedPanel, sharedStride) { ARowStride = ownInPlace ? _own.LineStride : _own.PackedStride, Fetch = fetch });
                    }
                }
            }
        }
    }

    private readonly void Tile(int piece, int block, int depth, int row, int column, int rows, int columns, in TilePanels panels)
    {
        bool isFirst = _firstBlock + block == 0, last = _firstBlock + block == _depthBlocks - 1;
        if (piece > 0)
        {
            var sums = new TileEpilogue { AddC = !isFirst };
            Tile(depth, panels, _sums + ((piece - 1) * _sumsLength) + ((long)row * _columns) + column, _columns, sums, rows, columns);
            return;
        }

        bool hasCompanion = last && _epilogue.Companion != null;
        long offset = (row * _cStride) + column;
        float* c = _c + offset, companion = hasCompanion ? _epilogue.Companion + offset : null;
        var epilogue = new TileEpilogue
        {
            AddC = _epilogue.Accumulate || !isFirst,
            Bias = last && _epilogue.Bias != null ? _epilogue.Bias + column : null,
            Companion = hasCompanion ? companion - c : 0,
        };
        Tile(depth, panels, c, _cStride, epilogue, rows, columns);
        if (last && _epilogue.Finish != null)
            _epilogue.Finish(new FinishedTile(c, companion, _cStride, rows, columns));
    }

    private static void Tile(int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns)
    {
        if (epilogue.AddC)
            Ask(c, cStride, rows, columns);
        else
            Claim(c, cStride, rows, columns);
        if (rows == TKernel.Rows && columns == TKernel.Columns)
            TKernel.Tile(depth, panels, c, cStride, epilogue);
        else
            TKernel.Edge(depth, panels, c, cStride, epilogue, rows, columns);
    }

    /// <summary>Takes the lines of a tile that is written over, while its sums are made: by writing a zero to each.</summary>
    /// <remarks>
    /// A request brings a line for reading. If another core has it too, the store must still ask for it to give it up, for 200 ns where the two
    /// share no L3, and the tile's stores wait for one another; these stores nobody waits for.
    /// </remarks>
    private static void Claim(float* c, long stride, int rows, int columns)
    {
        int middle = Math.Min(LineElements, columns - 1);
        for (; rows > 0; rows--, c += stride)
            c[0] = c[middle] = c[columns - 1] = 0;
    }

    /// <summary>Asks for the lines of a tile that is added to; mostly this core wrote them one block of K before.</summary>
    private static void Ask(float* c, long stride, int rows, int columns)
    {
        for (; Sse.IsSupported && rows > 0; rows--, c += stride)
        {
            Sse.Prefetch1(c);
            Sse.Prefetch1(c + columns - 1);
        }
    }

    /// <summary>What of the slab is used after the panel that begins with <paramref name="line"/>, or after the block.</summary>
    private readonly PrefetchedBlock NextShared(GemmShare share, int line, int block)
    {
        int lines = _fetchesPanels ? _shared.Width : share.End - share.Start;
        return _fetchesPanels && line + lines < share.End
            ? Rows(_shared, _firstLine + line + lines, lines, share.Piece, block)
            : Rows(_shared, _firstLine + share.Start, lines, share.Piece, block + 1 < _blocks ? block + 1 : 0);
    }

    /// <summary>Packs lines of an operand in one block of K; what lies in several runs is put side by side first.</summary>
    private static void Pack(in Operand operand, int first, int lines, int step, int depth, float* target)
    {
        if (operand.IsWhole(step, depth))
        {
            TKernel.Pack(operand.At(first, step), operand.LineStride, operand.StepStride, lines, depth, operand.Width, target);
            return;
        }

        float* rows = PackBuffers.Rows((long)operand.Width * RowPitch);
        for (int done = 0; done < lines; done += operand.Width, target += TKernel.PanelLength(operand.Width, depth))
        {
            int count = Math.Min(operand.Width, lines - done);
            var next = operand.Runs(first + done + count, operand.Width, step, depth);
            operand.CopyRuns(first + done, count, step, depth, rows, RowPitch, ref next);
            TKernel.Pack(rows, RowPitch, 1, count, depth, operand.Width, target);
        }
    }

    /// <summary>Where a piece begins when whole panels are dealt out evenly to all pieces.</summary>
    private static int Start(int length, int panel, int piece, int pieces) =>
        (int)Math.Min(length, (long)Pieces(length, panel) * piece / pieces * panel);

    /// <summary>Some lines of an operand within one block of K, as they lie in memory.</summary>
    private readonly PrefetchedBlock Rows(in Operand operand, int first, int lines, int piece, int block)
    {
        lines = Math.Clamp(operand.Lines - first, 0, lines);
        int depth = DepthOf(piece, block);
        int step = StepOf(piece, block);
        float* start = operand.At(first, step);
        if (operand.HasRuns)
            return operand.Runs(first, lines, step, depth);
        return operand.StepStride == 1
            ? new PrefetchedBlock(start, operand.LineStride, lines, depth)
            : new PrefetchedBlock(start, operand.StepStride, lines == 0 ? 0 : depth, lines);
    }

    /// <summary>
    /// Whether rows of B are read where they lie as fast as a packed panel: without a copy of a whole weight, which is read from memory
    /// and written there, for up to an eighth of a product. Not if they share few sets of the L1, unless a panel is too long for it.
    /// </summary>
    private readonly bool IsReadNear(long rowStride) =>
        rowStride % SetStride != 0 && (rowStride % CrowdedStride != 0 || _depth > Gemm.DepthBlock / 2);

    private readonly int PackTasksOfBlock => !_shared.InPlace ? Pieces(_lines, _packLines)
        : _shared.LinesInPlace(_lines) == _lines ? 0
        : 1;

    private readonly int StepOf(int piece, int block) => StartOf(piece) + ((_firstBlock + block) * _depth);

    /// <remarks>Pieces differ by a step, so the last block of some may have none.</remarks>
    private readonly int DepthOf(int piece, int block) => Math.Min(_depth, StartOf(piece + 1) - StepOf(piece, block));

    private readonly int StartOf(int piece) => (int)((long)_k * piece / _pieces);

    /// <summary>Elements of one block of K of the slab; each task's lines are followed by room for what packing overruns.</summary>
    private readonly long BlockLength => _shared.InPlace
        ? TKernel.PanelLength(_shared.Width, _depth) + LineElements
        : PanelsLength(_slabLines, _shared.Width, _depth) + ((long)Pieces(_slabLines, _packLines) * LineElements);

    private static long PanelsLength(int lines, int width, int depth) => (long)Pieces(lines, width) * TKernel.PanelLength(width, depth);

    /// <summary>A packed panel of the slab; of an operand read in place, the only one.</summary>
    private readonly float* PackedPanel(int piece, int block, int line) => _slab + ((((piece - _firstPiece) * _blocks) + block) * BlockLength)
        + (_shared.InPlace ? 0 : PanelsLength(line, _shared.Width, DepthOf(piece, block)) + ((long)(line / _packLines) * LineElements));

    /// <summary>A or B as lines along K: rows of A, columns of B.</summary>
    private readonly struct Operand(MatrixView lines, int count, int width, int step, bool inPlace)
    {
        private readonly float* _data = lines.Data;
        private readonly int _runLength = lines.RunLength;
        private readonly long _runStride = lines.RunStride;

        public long LineStride { get; } = lines.RowStride;

        public long StepStride { get; } = lines.ColumnStride;

        /// <summary>Elements between two lines of a packed panel, if these are rows of A.</summary>
        public long PackedStride { get; } = TKernel.PackedRowStride(lines.ColumnStride);

        public int Lines { get; } = count;

        /// <summary>Lines of a panel.</summary>
        public int Width { get; } = width;

        /// <summary>Whether it is read where it lies, as far as <see cref="LinesInPlace"/> says.</summary>
        public bool InPlace { get; init; } = inPlace;

        /// <summary>Whether it lies in runs along K.</summary>
        public bool HasRuns => _runLength > 0;

        public float* At(int line, int step) => HasRuns
            ? _data + (line * LineStride) + (step / _runLength * _runStride) + (step % _runLength * StepStride)
            : _data + (line * LineStride) + (step * StepStride);

        /// <summary>Whether a block of K lies evenly spaced.</summary>
        public bool IsWhole(int step, int depth) => !HasRuns || (step % _runLength) + depth <= _runLength;

        /// <summary>Puts some lines' runs within a block of K side by side, and asks for what is copied next.</summary>
        public void CopyRuns(int line, int lines, int step, int depth, float* to, int pitch, ref PrefetchedBlock next)
        {
            for (int done = 0; done < depth;)
            {
                int count = Math.Min(depth - done, _runLength - ((step + done) % _runLength));
                float* from = At(line, step + done);
                for (int i = 0; i < lines; i++)
                {
                    new ReadOnlySpan<float>(from + (i * LineStride), count).CopyTo(new Span<float>(to + done + (i * pitch), count));
                    next.Some((count / LineElements) + 1);
                }

                done += count;
            }
        }

        /// <summary>All of the runs that a block of K has a part of.</summary>
        public PrefetchedBlock Runs(int line, int lines, int step, int depth)
        {
            int first = step / _runLength, last = (step + depth - 1) / _runLength;
            lines = Math.Clamp(Lines - line, 0, lines);
            return new PrefetchedBlock(At(line, first * _runLength), _runStride, depth == 0 || lines == 0 ? 0 : last - first + 1, lines * LineStride);
        }

        /// <summary>How many of the lines are read where they lie: not the last few if the kernel would read others behind them.</summary>
        public int LinesInPlace(int lines) => !InPlace ? 0 : lines % Width % step == 0 ? lines : lines / Width * Width;
    }
}

/// <summary>A part of a slab's work: panels of the operand that threads take, times lines of the slab.</summary>
/// <param name="Piece">The piece of K.</param>
/// <param name="Panel">The first panel.</param>
/// <param name="Panels">Panels.</param>
/// <param name="Start">The first line of the slab.</param>
/// <param name="End">The line behind the last.</param>
internal readonly record struct GemmShare(int Piece, int Panel, int Panels, int Start, int End);
