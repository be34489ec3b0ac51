using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Windows are read from the map and written to it where they lie. Forward, a block is some windows with all their heads, which
/// share cache lines. Backward, it is some windows with some heads, whose gradients of the table it sums on the way.
/// </summary>
internal sealed unsafe class WindowAttentionCpu
{
    // About 20 microseconds of one thread.
    private const double FlopsPerBlock = 2e6;

    // Enough blocks for 16 threads; and so many windows in each that summing up the table's gradient costs little.
    private const int EnoughBlocks = 16;
    private const int MinWindows = 4;

    [ThreadStatic]
    private static float[]? _sums;

    private readonly WindowLayout _layout;
    private readonly CpuDevice _device;
    private readonly HeadSizes _sizes;
    private readonly float* _qkv;
    private readonly long _windows;
    private readonly int _heads;
    private readonly int _size;
    private readonly int _window;
    private readonly int _windowsPerPiece;

    public WindowAttentionCpu(WindowLayout layout, Tensor qkv, int heads)
    {
        _layout = layout;
        _device = (CpuDevice)qkv.Device;
        _qkv = qkv.Pointer<float>();
        _windows = (long)qkv.Shape[0] * layout.Windows;
        _heads = heads;
        _size = qkv.Shape[3] / 3;
        _window = layout.Window;
        int depth = _size / heads;
        _sizes = new HeadSizes(layout.Tokens, layout.Tokens, depth, depth, 1 / Math.Sqrt(depth));
        _windowsPerPiece = (int)Math.Max(MinWindows, (_windows + EnoughBlocks - 1) / EnoughBlocks);
        Pieces = (int)((_windows + _windowsPerPiece - 1) / _windowsPerPiece);
    }

    /// <summary>Elements from the bias of one query to the next: the tokens, rounded up to whole vectors.</summary>
    public int BiasStride => _sizes.Stride;

    /// <summary>Into how many sums the gradient of the table falls.</summary>
    public int Pieces { get; }

    private int TableRows => ((2 * _window) - 1) * ((2 * _window) - 1);

    /// <summary>Writes the bias [heads, tokens, <see cref="BiasStride"/>] of each pair of tokens.</summary>
    public void SpreadTable(Tensor table, Tensor bias)
    {
        if (!_device.Computes)
            return;
        float* from = table.Pointer<float>(), to = bias.Pointer<float>();
        long[] rows = Op.RelativePositions(_window, _window);
        int tokens = _layout.Tokens;
        _device.Team.ForRange(_heads, 2, (start, end) =>
        {
            for (long head = start; head < end; head++)
            {
                for (int pair = 0; pair < rows.Length; pair++)
                    to[(((head * tokens) + (pair / tokens)) * BiasStride) + (pair % tokens)] = from[(rows[pair] * _heads) + head];
            }
        });
    }

    /// <summary>Writes the result and, for each query, the largest score and one divided by the sum of exponentials.</summary>
    public void Forward(Tensor bias, Tensor y, Tensor rows)
    {
        if (!_device.Computes)
            return;
        var job = new ForwardJob(this, bias.Pointer<float>(), y.Pointer<float>(), rows.Pointer<float>());
        long grain = Math.Max(1, (long)(FlopsPerBlock / Math.Max(1, 2 * _heads * _sizes.Flops)));
        _device.Team.ForRange(_windows, grain, _device.Simd switch
        {
            SimdLevel.Avx512 => job.Run<Lane512>,
            SimdLevel.Avx2 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    /// <summary>Adds up the gradients that have a target.</summary>
    /// <param name="bias">As <see cref="SpreadTable"/> wrote it.</param>
    /// <param name="rows">As <see cref="Forward"/> wrote it.</param>
    /// <param name="dy">Contiguous.</param>
    /// <param name="dQkv">Of the product's shape, or null.</param>
    /// <param name="dTable">[<see cref="Pieces"/>, rows of the table, heads], or null.</param>
    public void Backward(Tensor bias, Tensor rows, Tensor dy, GradTarget? dQkv, Tensor? dTable)
    {
        if (!_device.Computes)
            return;
        var job = new BackwardJob(
            this, bias.Pointer<float>(), rows.Pointer<float>(), dy.Pointer<float>(), dQkv, dTable is null ? null : dTable.Pointer<float>());
        _device.Team.ForRange(job.Blocks, 1, _device.Simd switch
        {
            SimdLevel.Avx512 => job.Run<Lane512>,
            SimdLevel.Avx2 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    /// <summary>The rows of one head of a window in a map whose places have some parts of <see cref="_size"/> numbers each.</summary>
    private HeadRows Rows(float* map, int parts, int part, long window, int head)
    {
        long stride = (long)parts * _size, image = window / _layout.Windows;
        float* first = map + (image * _layout.Windows * _layout.Tokens * stride) + ((long)part * _size) + ((long)head * _sizes.Depth);
        return new HeadRows(first, stride, places: _layout.PlacesOf((int)(window % _layout.Windows)));
    }

    /// <summary>A head, with its results or the gradients of those in a map of their own.</summary>
    private HeadInputs Head(float* results, long window, int head) => new(
        Rows(_qkv, 3, 0, window, head), Rows(_qkv, 3, 1, window, head), Rows(_qkv, 3, 2, window, head), Rows(results, 1, 0, window, head));

    private ScoreTerms Terms(float* bias, long window, int head) => new()
    {
        Bias = bias + ((long)head * _layout.Tokens * BiasStride),
        BiasRow = BiasStride,
        BiasColumn = 1,
        Parts = _layout.PartsOf((int)(window % _layout.Windows)),
    };

    // Where the saved rows of a head begin.
    private long RowsAt(long window, int head) => ((window * _heads) + head) * _layout.Tokens * 2;

    private sealed class ForwardJob(WindowAttentionCpu op, float* bias, float* y, float* rows)
    {
        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            var scratch = new AttentionHead(op._sizes, backward: false);
            var inputs = op.Head(y, start, 0);
            for (long i = start * op._heads; i < end * op._heads; i++)
            {
                long window = i / op._heads;
                int head = (int)(i % op._heads);
                var next = head + 1 < op._heads ? op.Head(y, window, head + 1) : op.Head(y, Math.Min(window + 1, op._windows - 1), 0);
                scratch.Load<V>(inputs);
                for (int tile = 0; tile < op._sizes.Tiles; tile++)
                    scratch.Forward<V>(tile, inputs, op.Terms(bias, window, head), rows + op.RowsAt(window, head), next);
                inputs = next;
            }
        }
    }

    private sealed class BackwardJob(WindowAttentionCpu op, float* bias, float* rows, float* dy, GradTarget? dQkv, float* dTable)
    {
        private readonly int _headsPerBlock = Math.Max(1, op._heads * op.Pieces / EnoughBlocks);
        private readonly float* _dQkv = dQkv is { } target ? target.Tensor.Pointer<float>() : null;
        private readonly long[] _pairs = Op.RelativePositions(op._window, op._window);

        /// <summary>Pieces of the windows times pieces of the heads.</summary>
        public long Blocks => op.Pieces * (long)HeadPieces;

        private int HeadPieces => (op._heads + _headsPerBlock - 1) / _headsPerBlock;

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long block = start; block < end; block++)
                Block<V>((int)(block / HeadPieces), (int)(block % HeadPieces) * _headsPerBlock);
        }

        private void Block<V>(int piece, int firstHead)
            where V : unmanaged, IFloatLane<V>
        {
            int lastHead = Math.Min(op._heads, firstHead + _headsPerBlock), tokens = op._layout.Tokens;
            long first = (long)piece * op._windowsPerPiece, last = Math.Min(op._windows, first + op._windowsPerPiece);
            var scratch = new AttentionHead(op._sizes, backward: true);
            int matrix = tokens * op.BiasStride, length = (lastHead - firstHead) * matrix;
            float* sums = null;
            if (dTable != null)
            {
                sums = PackBuffers.Aligned(ref _sums, length);
                new Span<float>(sums, length).Clear();
            }

            var inputs = op.Head(dy, first, firstHead);
            for (long window = first; window < last; window++)
            {
                for (int head = firstHead; head < lastHead; head++)
                {
                    var next = head + 1 < lastHead
                        ? op.Head(dy, window, head + 1)
                        : op.Head(dy, Math.Min(window + 1, op._windows - 1), firstHead);
                    scratch.Load<V>(inputs);
                    scratch.Backward<V>(
                        inputs, op.Terms(bias, window, head), rows + op.RowsAt(window, head),
                        Target(0, window, head), Target(1, window, head), Target(2, window, head),
                        sums == null ? null : sums + ((head - firstHead) * matrix), op.BiasStride, next);
                    inputs = next;
                }
            }

            if (sums != null)
                Collect(sums, piece, firstHead, lastHead);
        }

        private HeadTarget Target(int part, long window, int head) =>
            dQkv is { } some ? new HeadTarget(op.Rows(_dQkv, 3, part, window, head), some.Accumulate) : default;

        /// <summary>Adds the gradients of the scores to the rows of the table that their pairs belong to.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Collect(float* sums, int piece, int firstHead, int lastHead)
        {
            float* table = dTable + ((long)piece * op.TableRows * op._heads);
            int tokens = op._layout.Tokens;
            for (int row = 0; row < op.TableRows; row++)
                new Span<float>(table + ((long)row * op._heads) + firstHead, lastHead - firstHead).Clear();
            for (int head = firstHead; head < lastHead; head++)
            {
                for (int query = 0; query < tokens; query++, sums += op.BiasStride)
                {
                    for (int key = 0; key < tokens; key++)
                        table[(_pairs[(query * tokens) + key] * op._heads) + head] += sums[key];
                }
            }
        }
    }
}
