using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Forward, a block is some rows of queries of one head: their scores are a matrix in the thread's scratch, which becomes
/// probabilities row by row and is multiplied by the values at once. Backward, a block is a whole head, as all of its queries add
/// to the gradients of its keys and values.
/// </summary>
internal sealed unsafe class AttentionCpu : IAttentionKernels
{
    // Scores of one tile: 128 KiB stay in the L2 cache, and 128 rows make good use of the keys once packed.
    private const int TileElements = 32768;
    private const int MinTileRows = 16;
    private const int MaxTileRows = 128;

    // About 20 microseconds of one thread.
    private const double FlopsPerBlock = 2e6;

    [ThreadStatic]
    private static float[]? _scratch;

    public void Forward(AttentionInputs x, Tensor y, Tensor rows)
    {
        var device = (CpuDevice)y.Device;
        var job = new ForwardJob(new Tiles(x, device.Simd), x, y, rows);
        device.Team.ForRange(x.Items * job.Tiles.Count, job.Tiles.Grain(2, job.Tiles.Rows), device.Simd switch
        {
            SimdLevel.Avx512 => job.Run<Lane512>,
            SimdLevel.Avx2 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    public void Backward(
        AttentionInputs x, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        var device = (CpuDevice)x.Q.Device;
        var job = new BackwardJob(new Tiles(x, device.Simd), x, rows, dy, dq, dk, dv, dBias);
        device.Team.ForRange(job.Blocks, dBias is null ? job.Tiles.Grain(5, x.Scores[^2]) : 1, device.Simd switch
        {
            SimdLevel.Avx512 => job.Run<Lane512>,
            SimdLevel.Avx2 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    /// <summary>The cut into tiles of queries, and the scores of one.</summary>
    private sealed class Tiles
    {
        private readonly SimdLevel _simd;
        private readonly MatrixStack<float> _q;
        private readonly MatrixStack<float> _k;
        private readonly MatrixStack<float> _bias;
        private readonly MatrixStack<bool> _mask;
        private readonly bool _hasBias;
        private readonly bool _hasMask;
        private readonly int _depth;
        private readonly float _scale;

        public Tiles(AttentionInputs x, SimdLevel simd)
        {
            _simd = simd;
            _q = new(x.Q);
            _k = new(x.K);
            _hasBias = x.Bias is not null;
            _hasMask = x.Mask is not null;
            if (x.Bias is not null)
                _bias = new(x.Bias);
            if (x.Mask is not null)
                _mask = new(x.Mask);
            _depth = x.Q.Shape[^1];
            _scale = (float)x.Scale;
            Queries = x.Scores[^2];
            Keys = x.Scores[^1];
            // A multiple of every vector width: rows have no incomplete last vector.
            Stride = (Keys + 15) / 16 * 16;
            int rows = Math.Clamp(TileElements / Math.Max(1, Stride), MinTileRows, MaxTileRows);
            Count = Math.Max(1, (Queries + rows - 1) / rows);
            Rows = ((Queries + Count - 1) / Count + 7) / 8 * 8;
            Count = Math.Max(1, Rows == 0 ? 1 : (Queries + Rows - 1) / Rows);
        }

        public int Queries { get; }

        public int Keys { get; }

        /// <summary>Elements from one row of scores to the next.</summary>
        public int Stride { get; }

        /// <summary>Queries in a tile; the last may have fewer.</summary>
        public int Rows { get; }

        /// <summary>Tiles of each head, at least one.</summary>
        public int Count { get; }

        /// <summary>Heads or tiles per block, when each does so many products of the scores' size.</summary>
        public long Grain(int products, int rows) =>
            Math.Max(1, (long)(FlopsPerBlock / (2.0 * products * Math.Max(1, rows) * Math.Max(1, Keys) * Math.Max(1, _depth))));

        public int RowsOf(int tile) => Math.Min(Rows, Queries - (tile * Rows));

        /// <summary>Scratch for some tiles of scores.</summary>
        public float* Scratch(int tiles) => PackBuffers.Aligned(ref _scratch, (long)tiles * Rows * Stride);

        /// <summary>scale q k^T + bias; minus infinity where masked and beyond the last key.</summary>
        public void Scores<V>(long item, int tile, float* scores)
            where V : unmanaged, IFloatLane<V>
        {
            int first = tile * Rows, rows = RowsOf(tile);
            Gemm.RunSerial(_simd, rows, Keys, _depth, Matrix(_q, item, first), Matrix(_k, item, 0).Transposed, scores, Stride,
                new GemmEpilogue { Alpha = _scale });
            for (int i = 0; i < rows; i++)
            {
                float* row = scores + ((long)i * Stride);
                if (_hasBias)
                    AddBias<V>(row, _bias.Row(item, first + i), _bias.ColumnStride, Keys);
                if (_hasMask)
                    Hide(row, _mask.Row(item, first + i), _mask.ColumnStride, Keys);
                new Span<float>(row + Keys, Stride - Keys).Fill(float.NegativeInfinity);
            }
        }

        public void Multiply(int m, int n, int k, MatrixView a, MatrixView b, float* c, long stride, in GemmEpilogue epilogue) =>
            Gemm.RunSerial(_simd, m, n, k, a, b, c, stride, epilogue);

        public static MatrixView Matrix(in MatrixStack<float> stack, long item, long firstRow) =>
            new(stack.Row(item, firstRow), stack.RowStride, stack.ColumnStride);

        private static void AddBias<V>(float* row, float* bias, long stride, int count)
            where V : unmanaged, IFloatLane<V>
        {
            int i = 0;
            if (stride == 1)
            {
                for (; i + V.Width <= count; i += V.Width)
                    V.Store(V.Load(row + i) + V.Load(bias + i), row + i);
            }

            for (; i < count; i++)
                row[i] += bias[i * stride];
        }

        private static void Hide(float* row, bool* mask, long stride, int count)
        {
            for (int i = 0; i < count; i++)
            {
                if (!mask[i * stride])
                    row[i] = float.NegativeInfinity;
            }
        }
    }

    private sealed class ForwardJob(Tiles tiles, AttentionInputs x, Tensor y, Tensor rows)
    {
        private readonly MatrixStack<float> _v = new(x.V);
        private readonly MatrixStack<float> _y = new(y);
        private readonly MatrixStack<float> _rows = new(rows);
        private readonly int _width = x.V.Shape[^1];

        public Tiles Tiles => tiles;

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            float* scores = tiles.Scratch(1);
            for (long block = start; block < end; block++)
                Tile<V>(block / tiles.Count, (int)(block % tiles.Count), scores);
        }

        private void Tile<V>(long item, int tile, float* scores)
            where V : unmanaged, IFloatLane<V>
        {
            int first = tile * tiles.Rows, rows = tiles.RowsOf(tile);
            tiles.Scores<V>(item, tile, scores);
            float* saved = _rows.Row(item, first);
            for (int i = 0; i < rows; i++)
                Exponentials<V>(scores + ((long)i * tiles.Stride), tiles.Stride, saved + (2 * i));
            tiles.Multiply(rows, _width, tiles.Keys, new MatrixView(scores, tiles.Stride), Tiles.Matrix(_v, item, 0),
                _y.Row(item, first), _y.RowStride, default);
            // The sums divide the short rows of the result instead of the long ones of the exponentials.
            for (int i = 0; i < rows; i++)
                Scale<V>(_y.Row(item, first + i), saved[(2 * i) + 1], _width);
        }

        private static void Exponentials<V>(float* row, int count, float* saved)
            where V : unmanaged, IFloatLane<V>
        {
            float max = LaneRow.Max<V>(row, count);
            bool nothing = float.IsNegativeInfinity(max);
            var m = V.Of(nothing ? 0 : max);
            var sum = V.Of(0);
            for (int i = 0; i < count; i += V.Width)
            {
                var e = V.Exp(V.Load(row + i) - m);
                V.Store(e, row + i);
                sum += e;
            }

            saved[0] = nothing ? 0 : max;
            saved[1] = nothing ? 0 : 1 / V.Sum(sum);
        }

        private static void Scale<V>(float* row, float factor, int count)
            where V : unmanaged, IFloatLane<V>
        {
            var f = V.Of(factor);
            int i = 0;
            for (; i + V.Width <= count; i += V.Width)
                V.Store(V.Load(row + i) * f, row + i);
            for (; i < count; i++)
                row[i] *= factor;
        }
    }

    private sealed class BackwardJob(
        Tiles tiles, AttentionInputs x, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        private readonly MatrixStack<float> _q = new(x.Q);
        private readonly MatrixStack<float> _k = new(x.K);
        private readonly MatrixStack<float> _v = new(x.V);
        private readonly MatrixStack<float> _rows = new(rows);
        private readonly MatrixStack<float> _dy = new(dy);
        private readonly MatrixStack<float> _dq = Stack(dq);
        private readonly MatrixStack<float> _dk = Stack(dk);
        private readonly MatrixStack<float> _dv = Stack(dv);
        private readonly float* _sums = dBias is null ? null : dBias.Sums.Pointer<float>();
        private readonly int _depth = x.Q.Shape[^1];
        private readonly int _width = x.V.Shape[^1];
        private readonly float _scale = (float)x.Scale;

        public Tiles Tiles => tiles;

        /// <summary>One block for each head, or for each matrix of the bias's sums.</summary>
        public long Blocks => dBias is null ? x.Items : dBias.Sums.Shape.CountOf(0, 2);

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            float* scratch = tiles.Scratch(2);
            for (long block = start; block < end; block++)
            {
                if (dBias is null)
                {
                    Head<V>(block, scratch, null, false);
                    continue;
                }

                long groups = dBias.Sums.Shape[1], piece = block / groups, group = block % groups;
                long last = Math.Min(dBias.Repeats, (piece + 1) * dBias.PerPiece);
                float* sums = _sums + (block * tiles.Queries * tiles.Keys);
                for (long repeat = piece * dBias.PerPiece; repeat < last; repeat++)
                    Head<V>((repeat * groups) + group, scratch, sums, repeat > piece * dBias.PerPiece);
            }
        }

        private void Head<V>(long item, float* scratch, float* sums, bool addToSums)
            where V : unmanaged, IFloatLane<V>
        {
            int keys = tiles.Keys, stride = tiles.Stride;
            float* p = scratch, ds = scratch + ((long)tiles.Rows * stride);
            for (int tile = 0; tile < tiles.Count; tile++)
            {
                int first = tile * tiles.Rows, count = tiles.RowsOf(tile);
                var gradient = Tiles.Matrix(_dy, item, first);
                tiles.Scores<V>(item, tile, p);
                tiles.Multiply(count, keys, _width, gradient, Tiles.Matrix(_v, item, 0).Transposed, ds, stride, default);
                float* saved = _rows.Row(item, first);
                for (int i = 0; i < count; i++)
                {
                    long at = (long)i * stride;
                    new Span<float>(ds + at + keys, stride - keys).Clear();
                    SlopeOfScores<V>(p + at, ds + at, stride, saved[2 * i], saved[(2 * i) + 1]);
                    if (sums != null)
                        Sum<V>(ds + at, sums + ((long)(first + i) * keys), keys, addToSums);
                }

                MatrixView probabilities = new(p, stride), slopes = new(ds, stride);
                if (dv is { } values)
                {
                    tiles.Multiply(keys, _width, count, probabilities.Transposed, gradient, _dv.At(item), _dv.RowStride,
                        new GemmEpilogue { Accumulate = values.Accumulate || tile > 0 });
                }

                if (dk is { } k)
                {
                    var queries = Tiles.Matrix(_q, item, first);
                    tiles.Multiply(keys, _depth, count, slopes.Transposed, queries, _dk.At(item), _dk.RowStride,
                        new GemmEpilogue { Alpha = _scale, Accumulate = k.Accumulate || tile > 0 });
                }

                if (dq is { } q)
                {
                    tiles.Multiply(count, _depth, keys, slopes, Tiles.Matrix(_k, item, 0), _dq.Row(item, first), _dq.RowStride,
                        new GemmEpilogue { Alpha = _scale, Accumulate = q.Accumulate });
                }
            }
        }

        /// <summary>Scores become probabilities p, and their gradients dp become p (dp - the sum of p dp).</summary>
        private static void SlopeOfScores<V>(float* p, float* dp, int count, float max, float factor)
            where V : unmanaged, IFloatLane<V>
        {
            V m = V.Of(max), f = V.Of(factor), sum = V.Of(0);
            for (int i = 0; i < count; i += V.Width)
            {
                var probability = V.Exp(V.Load(p + i) - m) * f;
                V.Store(probability, p + i);
                sum = V.MultiplyAdd(probability, V.Load(dp + i), sum);
            }

            var mean = V.Of(V.Sum(sum));
            for (int i = 0; i < count; i += V.Width)
                V.Store(V.Load(p + i) * (V.Load(dp + i) - mean), dp + i);
        }

        private static void Sum<V>(float* row, float* sums, int count, bool add)
            where V : unmanaged, IFloatLane<V>
        {
            for (int i = 0; i < count; i += V.Width)
            {
                var value = LaneRow.Load<V>(row + i, count - i);
                LaneRow.Store(add ? value + LaneRow.Load<V>(sums + i, count - i) : value, sums + i, count - i);
            }
        }

        private static MatrixStack<float> Stack(GradTarget? target) => target is { } some ? new(some.Tensor) : default;
    }
}
