using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// The blocking of one product. B is packed slab by slab (at most 2048 x 1024), which all threads share; the tiles of C over
/// a slab are then independent tasks, and each packs its own rows of A, one block of K at a time.
/// </summary>
/// <remarks>
/// Three levels, after Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008): a panel of B stays
/// in the L1 cache while the panels of A stream past it from the L2, and the slab stays in the L3. The cuts follow from the
/// shape alone.
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

    // A full tile of the largest kernel.
    private const int EdgeCapacity = 14 * 32;

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
    private readonly int _tileRows;
    private readonly int _tileColumns;
    private readonly bool _readsBInPlace;

    private float* _packedB;
    private int _firstColumn;
    private int _columns;
    private int _firstBlock;
    private int _blocks;

    public GemmPlan(
        int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue, bool shared)
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
        // With few rows a packed B would hardly be read more often than packing reads it.
        _readsBInPlace = b.ColumnStride == 1 && m <= 2 * TKernel.Rows;

        int rowTiles = Pieces(m, TKernel.RowBlock);
        int columnTiles = 1;
        if (shared)
        {
            // Rows are halved first: that only reads each panel of B twice as often, from the L2 or L3.
            double flops = 2.0 * m * _slabColumns * Math.Min(k, SlabBlocks * DepthBlock);
            int tasks = (int)Math.Clamp(flops / FlopsPerTask, 1, EnoughTasks);
            rowTiles = Math.Clamp(tasks, rowTiles, Pieces(m, TKernel.RowBlock / 2));
            columnTiles = Math.Clamp(Pieces(tasks, rowTiles), 1, Pieces(_slabColumns, MinTileColumns));
        }

        _tileRows = Even(m, rowTiles, TKernel.Rows);
        _tileColumns = Even(_slabColumns, columnTiles, TKernel.Columns);
    }

    /// <summary>Slabs of B, to be taken in order.</summary>
    public readonly int Slabs => Pieces(_n, _slabColumns) * Pieces(_depthBlocks, SlabBlocks);

    /// <summary>Independent tasks that pack the slab.</summary>
    public readonly int PackTasks => _readsBInPlace
        ? _columns % TKernel.Columns == 0 ? 0 : _blocks
        : _blocks * Pieces(_columns, PackColumns);

    /// <summary>Independent tasks that compute the slab's share of C, once it is packed.</summary>
    public readonly int TileTasks => Pieces(_m, _tileRows) * Pieces(_columns, _tileColumns);

    /// <summary>Elements of the buffer for a packed slab.</summary>
    public readonly long SlabLength => (long)Math.Min(_depthBlocks, SlabBlocks) * _slabColumns * _depth;

    /// <summary>Turns to slab <paramref name="slab"/>.</summary>
    public void Select(int slab, float* buffer)
    {
        int depthSlabs = Pieces(_depthBlocks, SlabBlocks);
        _packedB = buffer;
        _firstColumn = slab / depthSlabs * _slabColumns;
        _columns = Math.Min(_slabColumns, _n - _firstColumn);
        _firstBlock = slab % depthSlabs * SlabBlocks;
        _blocks = Math.Min(SlabBlocks, _depthBlocks - _firstBlock);
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
    [SkipLocalsInit]
    public readonly void Tile(int task)
    {
        int rowTiles = Pieces(_m, _tileRows);
        int row = task % rowTiles * _tileRows;
        int column = task / rowTiles * _tileColumns;
        int rows = Math.Min(_tileRows, _m - row);
        int lastColumn = Math.Min(column + _tileColumns, _columns);
        float* packedA = PackBuffers.A((long)_tileRows * _depth + Packing.Overrun);
        float* edge = stackalloc float[EdgeCapacity];

        for (int block = 0; block < _blocks; block++)
        {
            int depth = DepthOf(block);
            int step = (_firstBlock + block) * _depth;
            Packing.Pack(_a.Data + row * _a.RowStride + step * _a.ColumnStride, _a.RowStride, _a.ColumnStride, rows, depth,
                TKernel.Rows, packedA);
            for (int j = column; j < lastColumn; j += TKernel.Columns)
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
                    float* a = packedA + (long)i * depth;
                    var epilogue = EpilogueOf(block, row + i, _firstColumn + j);
                    float* c = _c + (row + i) * _cStride + _firstColumn + j;
                    if (i + TKernel.Rows <= rows && j + TKernel.Columns <= _columns)
                        TKernel.Tile(depth, a, b, bStride, c, _cStride, epilogue);
                    else
                        EdgeTile(depth, a, b, bStride, c, rows - i, _columns - j, epilogue, edge);
                }
            }
        }
    }

    /// <summary>A tile that sticks out of C is computed whole beside it; what lies inside is then copied.</summary>
    private readonly void EdgeTile(
        int depth, float* a, float* b, long bStride, float* c, int rows, int columns, in TileEpilogue epilogue, float* edge)
    {
        rows = Math.Min(rows, TKernel.Rows);
        columns = Math.Min(columns, TKernel.Columns);
        TKernel.Tile(depth, a, b, bStride, edge, TKernel.Columns, new TileEpilogue { Alpha = epilogue.Alpha });
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                float sum = edge[j];
                if (epilogue.AddC)
                    sum += c[j];
                if (epilogue.Bias != null)
                    sum += epilogue.Bias[j];
                if (epilogue.RowBias != null)
                    sum += epilogue.RowBias[i];
                c[j] = sum;
            }

            c += _cStride;
            edge += TKernel.Columns;
        }
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
