namespace DtoKd.Engine.Cpu;

/// <summary>
/// The blocking of one product. B is packed slab by slab (at most 2048 x 1024), which all threads share; the tiles of C over
/// a slab are then independent tasks, and each packs its own rows of A, one block of K at a time.
/// </summary>
/// <remarks>
/// Three levels, after Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008): a panel of B stays
/// in the L1 cache while the panels of A stream past it from the L2, and the slab stays in the L3. The cuts follow from the
/// shape and, for the tiles, the number of threads that share them: who computes an element never changes its sum.
/// </remarks>
internal unsafe struct GemmPlan<TKernel>
    where TKernel : struct, IMicroKernel
{
    // 256 steps make a panel of B 16 KiB (AVX2) or 32 KiB (AVX-512), which an L1 holds beside a panel of A; longer blocks save
    // little, as C is then already visited only once in 256 multiply-adds. The same for every kernel: the sums do not differ.
    private const int DepthBlock = 256;

    // 8 blocks of K by 1024 columns are 8 MiB: inside the L3 of a desktop, and few enough slabs that packing A anew for each
    // costs little.
    private const int SlabBlocks = 8;
    private const int SlabColumns = 1024;

    // 128 columns of one block of K take some 10 microseconds to pack: worth a task.
    private const int PackColumns = 128;

    // About 20 microseconds of one thread: below that handing out a task costs more than it brings.
    private const double FlopsPerTask = 2e6;

    // Enough for 16 threads to end nearly together, few enough that tiles stay large.
    private const int EnoughTasks = 32;

    // Each tile packs its rows of A itself, which over fewer columns would take more than a twentieth of its time.
    private const int MinTileColumns = 192;

    private const int LineElements = Pool.Alignment / sizeof(float);

    private readonly int _m;
    private readonly int _n;
    private readonly int _k;
    private readonly MatrixView _a;
    private readonly MatrixView _b;
    private readonly float* _c;
    private readonly long _cStride;
    private readonly GemmEpilogue _epilogue;
    private readonly int _depthBlocks;
    private readonly int _depth;
    private readonly int _slabColumns;
    private readonly int _rowTiles;
    private readonly int _columnTiles;
    private readonly int _threads;
    private readonly bool _readsAInPlace;
    private readonly bool _readsBInPlace;
    private readonly int _slabBlocks;

    private float* _packedB;
    private int _firstColumn;
    private int _columns;
    private int _firstBlock;
    private int _blocks;

    public GemmPlan(
        int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue, int threads)
    {
        _m = m;
        _n = n;
        _k = k;
        _a = a;
        _b = b;
        _c = c;
        _cStride = cStride;
        _epilogue = epilogue;
        _depthBlocks = Math.Max(1, Pieces(k, DepthBlock));
        _depth = Even(k, _depthBlocks, 8);
        _slabColumns = Even(n, Pieces(n, SlabColumns), TKernel.Columns);
        // Of A transposed and B as it is, each step's panel lies in a few lines of the cache: the gradient of a weight, a long sum
        // over two tall matrices, would spend a tenth of its time packing them. And with few rows a packed B would hardly be read
        // more often than packing reads it.
        _readsAInPlace = a.RowStride == 1 && b.ColumnStride == 1;
        _readsBInPlace = _readsAInPlace || (b.ColumnStride == 1 && m <= 2 * TKernel.Rows);
        _slabBlocks = _readsBInPlace && n % TKernel.Columns == 0 ? _depthBlocks : SlabBlocks;

        _threads = threads;
        _rowTiles = Pieces(m, TKernel.RowBlock);
        _columnTiles = 1;
        if (threads > 1)
        {
            // Rows are cut first: that only reads each panel of B more often, from the L2 or L3.
            double flops = 2.0 * m * _slabColumns * Math.Min(k, _slabBlocks * DepthBlock);
            int tasks = (int)Math.Clamp(flops / FlopsPerTask, 1, EnoughTasks);
            _rowTiles = Math.Clamp(tasks, _rowTiles, Math.Max(_rowTiles, Pieces(m, TKernel.RowBlock / 2)));
            // As much for each thread: tiles differ by one panel at most.
            if (_rowTiles > threads)
                _rowTiles = Math.Min(Pieces(_rowTiles, threads) * threads, Pieces(m, TKernel.Rows));
            _columnTiles = Math.Clamp(Pieces(tasks, _rowTiles), 1, Pieces(_slabColumns, MinTileColumns));
            // A small C of a long sum: tiles below the usual size are better than idle threads.
            if (_rowTiles * _columnTiles < Math.Min(tasks, threads))
                _rowTiles = Math.Min(threads, Pieces(m, TKernel.Rows));
        }
    }

    /// <summary>Slabs of B, to be taken in order.</summary>
    public readonly int Slabs => Pieces(_n, _slabColumns) * Pieces(_depthBlocks, _slabBlocks);

    /// <summary>Independent tasks that pack the slab.</summary>
    public readonly int PackTasks => _readsBInPlace
        ? _columns % TKernel.Columns == 0 ? 0 : _blocks
        : _blocks * Pieces(_columns, PackColumns);

    /// <summary>Independent tasks that compute the slab's share of C, once it is packed.</summary>
    public readonly int TileTasks => _rowTiles * _columnTiles;

    /// <summary>Elements of the buffer for a packed slab.</summary>
    public readonly long SlabLength => _readsBInPlace && _n % TKernel.Columns == 0
        ? 0
        : (long)Math.Min(_depthBlocks, _slabBlocks) * _slabColumns * _depth;

    /// <summary>Turns to slab <paramref name="slab"/>.</summary>
    public void Select(int slab, float* buffer)
    {
        int depthSlabs = Pieces(_depthBlocks, _slabBlocks);
        _packedB = buffer;
        _firstColumn = slab / depthSlabs * _slabColumns;
        _columns = Math.Min(_slabColumns, _n - _firstColumn);
        _firstBlock = slab % depthSlabs * _slabBlocks;
        _blocks = Math.Min(_slabBlocks, _depthBlocks - _firstBlock);
    }

    /// <summary>Packs some columns of one block of K; of a B read in place, only an incomplete last panel.</summary>
    public readonly void Pack(int task)
    {
        int pieces = PackTasks / _blocks;
        int block = task / pieces;
        int column = _readsBInPlace ? _columns / TKernel.Columns * TKernel.Columns : task % pieces * PackColumns;
        int columns = Math.Min(PackColumns, _columns - column);
        int step = (_firstBlock + block) * _depth;
        float* source = _b.Data + step * _b.RowStride + (_firstColumn + column) * _b.ColumnStride;
        Packing.Pack(
            source, _b.ColumnStride, _b.RowStride, columns, DepthOf(block), TKernel.Columns, PackedPanel(block, column));
    }

    /// <summary>Computes one tile of C over the slab's whole depth.</summary>
    public readonly void Tile(int task)
    {
        var (row, lastRow) = Rows(task);
        int firstColumn = Start(_columns, TKernel.Columns, task / _rowTiles, _columnTiles);
        int lastColumn = Start(_columns, TKernel.Columns, (task / _rowTiles) + 1, _columnTiles);
        int rows = lastRow - row;
        // Which task this thread takes next is only likely, and a wrong guess costs little.
        var (nextRow, nextLastRow) = task + _threads < TileTasks ? Rows(task + _threads) : default;
        int calls = Pieces(rows, TKernel.Rows) * Pieces(lastColumn - firstColumn, TKernel.Columns);
        // Of an A read in place, only an incomplete last panel is packed.
        int wholeRows = rows / TKernel.Rows * TKernel.Rows;
        int packedRows = _readsAInPlace ? wholeRows : 0;
        float* packedA = PackBuffers.A((long)Pieces(rows - packedRows, TKernel.Rows) * TKernel.Rows * _depth + Packing.Overrun);

        for (int block = 0; block < _blocks; block++)
        {
            int depth = DepthOf(block);
            int step = (_firstBlock + block) * _depth;
            float* firstA = _a.Data + row * _a.RowStride + step * _a.ColumnStride;
            Packing.Pack(firstA + packedRows * _a.RowStride, _a.RowStride, _a.ColumnStride, rows - packedRows, depth, TKernel.Rows, packedA);
            bool goesOn = block + 1 < _blocks;
            var next = !goesOn ? Prefetch(nextRow, nextLastRow, 0, calls)
                : _readsAInPlace ? default
                : Prefetch(row, lastRow, block + 1, calls);
            for (int j = firstColumn; j < lastColumn; j += TKernel.Columns)
            {
                float* b = PackedPanel(block, j);
                long bStride = TKernel.Columns;
                if (_readsBInPlace && j + TKernel.Columns <= _columns)
                {
                    b = _b.Data + step * _b.RowStride + _firstColumn + j;
                    bStride = _b.RowStride;
                }

                for (int i = 0; i < rows; i += TKernel.Rows)
                {
                    next.Next();
                    bool inPlace = i < packedRows;
                    var panels = new TilePanels(
                        inPlace ? firstA + i : packedA + (long)(i - packedRows) * depth,
                        inPlace ? _a.ColumnStride : TKernel.Rows,
                        b,
                        bStride)
                    {
                        // What is read in place arrives one block ahead: a line of A in the first column, one of B in each row.
                        AAhead = goesOn && inPlace && j == firstColumn ? depth * _a.ColumnStride : 0,
                        BAhead = goesOn && inPlace && i < TKernel.Columns ? depth * bStride + i / TKernel.Rows * LineElements : 0,
                    };
                    var epilogue = EpilogueOf(block, row + i, _firstColumn + j);
                    float* c = _c + (row + i) * _cStride + _firstColumn + j;
                    if (i < wholeRows && j + TKernel.Columns <= _columns)
                        TKernel.Tile(depth, panels, c, _cStride, epilogue);
                    else
                        TKernel.Edge(depth, panels, c, _cStride, epilogue, Math.Min(rows - i, TKernel.Rows), Math.Min(_columns - j, TKernel.Columns));
                }
            }
        }
    }

    /// <summary>The rows of C of a task.</summary>
    private readonly (int First, int End) Rows(int task) =>
        (Start(_m, TKernel.Rows, task % _rowTiles, _rowTiles), Start(_m, TKernel.Rows, (task % _rowTiles) + 1, _rowTiles));

    /// <summary>Where a piece begins when whole panels are dealt out evenly to all pieces.</summary>
    private static int Start(int length, int panel, int piece, int pieces) =>
        (int)Math.Min(length, (long)Pieces(length, panel) * piece / pieces * panel);

    /// <summary>Rows of A, one block of K, to be fetched within so many calls of the kernel.</summary>
    private readonly PrefetchedBlock Prefetch(int row, int lastRow, int block, int calls)
    {
        int step = (_firstBlock + block) * _depth;
        float* start = _a.Data + (row * _a.RowStride) + (step * _a.ColumnStride);
        return _a.ColumnStride == 1
            ? new PrefetchedBlock(start, _a.RowStride, lastRow - row, DepthOf(block), calls)
            : new PrefetchedBlock(start, _a.ColumnStride, DepthOf(block), lastRow - row, calls);
    }

    private static int Pieces(int length, int piece) => (int)(((long)length + piece - 1) / piece);

    /// <summary>The length of the first of <paramref name="pieces"/> nearly equal pieces, rounded up to a multiple.</summary>
    private static int Even(int length, int pieces, int multiple) => Pieces(Pieces(length, pieces), multiple) * multiple;

    private readonly int DepthOf(int block) => Math.Min(_depth, _k - (_firstBlock + block) * _depth);

    private readonly float* PackedPanel(int block, int column) =>
        _packedB + (long)block * _slabColumns * _depth + (long)column * DepthOf(block);

    private readonly TileEpilogue EpilogueOf(int block, int row, int column)
    {
        bool last = _firstBlock + block == _depthBlocks - 1;
        return new TileEpilogue
        {
            Alpha = _epilogue.Alpha,
            AddC = _epilogue.Accumulate || _firstBlock + block > 0,
            Bias = last && _epilogue.Bias != null ? _epilogue.Bias + column : null,
            RowBias = last && _epilogue.RowBias != null ? _epilogue.RowBias + row : null,
        };
    }
}
