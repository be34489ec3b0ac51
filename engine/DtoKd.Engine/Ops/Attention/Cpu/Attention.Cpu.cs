using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Forward, a block is a head or, if those are few, a tile of its queries. Backward, a block is a whole head, as all of its
/// queries add to the gradients of its keys and values; with a bias, all the heads that share a matrix of its sums.
/// </summary>
internal sealed unsafe class AttentionCpu : IAttentionKernels
{
    // About 20 microseconds of one thread.
    private const double FlopsPerBlock = 2e6;

    // With this many heads there is work for every thread without cutting one.
    private const int ManyHeads = 32;

    public void Forward(AttentionInputs x, Tensor y, Tensor rows)
    {
        var device = (CpuDevice)y.Device;
        var job = new ForwardJob(SizesOf(x), x, y, rows);
        device.Team.ForRange(job.Blocks, job.Grain, device.Vectors switch
        {
            LaneKind.Lane512 => job.Run<Lane512>,
            LaneKind.Lane256 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    public void Backward(
        AttentionInputs x, Tensor? y, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        var device = (CpuDevice)x.Q.Device;
        var job = new BackwardJob(SizesOf(x), x, rows, dy, dq, dk, dv, dBias);
        device.Team.ForRange(job.Blocks, job.Grain, device.Vectors switch
        {
            LaneKind.Lane512 => job.Run<Lane512>,
            LaneKind.Lane256 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    private static HeadSizes SizesOf(AttentionInputs x) =>
        new(x.Scores[^2], x.Scores[^1], x.Q.Shape[^1], x.V.Shape[^1], x.Scale);

    private static long GrainOf(double flops) => Math.Max(1, (long)(FlopsPerBlock / Math.Max(1, flops)));

    /// <summary>The heads of the inputs, with their results or the gradients of those.</summary>
    private sealed class Heads(AttentionInputs x, Tensor results)
    {
        private readonly MatrixStack<float> _q = new(x.Q);
        private readonly MatrixStack<float> _k = new(x.K);
        private readonly MatrixStack<float> _v = new(x.V);
        private readonly MatrixStack<float> _results = new(results);
        private readonly MatrixStack<float> _bias = x.Bias is null ? default : new(x.Bias);
        private readonly MatrixStack<bool> _mask = x.Mask is null ? default : new(x.Mask);

        /// <summary>A head; the last one when there are not so many.</summary>
        public HeadInputs this[long item]
        {
            get
            {
                item = Math.Min(item, x.Items - 1);
                return new HeadInputs(Rows(_q, item), Rows(_k, item), Rows(_v, item), Rows(_results, item));
            }
        }

        public ScoreTerms Terms(long item)
        {
            var terms = default(ScoreTerms);
            if (x.Bias is not null)
            {
                terms.Bias = _bias.At(item);
                (terms.BiasRow, terms.BiasColumn) = (_bias.RowStride, _bias.ColumnStride);
            }

            if (x.Mask is not null)
            {
                terms.Mask = _mask.At(item);
                (terms.MaskRow, terms.MaskColumn) = (_mask.RowStride, _mask.ColumnStride);
            }

            return terms;
        }

        public static HeadRows Rows(in MatrixStack<float> stack, long item) => new(stack.At(item), stack.RowStride, stack.ColumnStride);
    }

    private sealed class ForwardJob(HeadSizes sizes, AttentionInputs x, Tensor y, Tensor rows)
    {
        private readonly Heads _heads = new(x, y);
        private readonly float* _rows = rows.Pointer<float>();
        private readonly int _pieces = x.Items < ManyHeads ? sizes.Tiles : 1;

        public long Blocks => x.Items * _pieces;

        public long Grain => GrainOf(2 * sizes.Flops / _pieces);

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            var head = new AttentionHead(sizes, backward: false);
            int tiles = sizes.Tiles / _pieces;
            for (long block = start; block < end; block++)
            {
                long item = block / _pieces;
                int first = (int)(block % _pieces);
                HeadInputs inputs = _heads[item], next = _heads[(block + 1) / _pieces];
                head.Load<V>(inputs);
                for (int tile = first; tile < first + tiles; tile++)
                    head.Forward<V>(tile, inputs, _heads.Terms(item), _rows + (2 * item * sizes.Queries), next);
            }
        }
    }

    private sealed class BackwardJob(
        HeadSizes sizes, AttentionInputs x, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        private readonly Heads _heads = new(x, dy);
        private readonly MatrixStack<float> _rows = new(rows);
        private readonly MatrixStack<float> _dq = Stack(dq);
        private readonly MatrixStack<float> _dk = Stack(dk);
        private readonly MatrixStack<float> _dv = Stack(dv);
        private readonly float* _sums = dBias is null ? null : dBias.Sums.Pointer<float>();

        /// <summary>One block for each head, or for each matrix of the bias's sums.</summary>
        public long Blocks => dBias is null ? x.Items : dBias.Sums.Shape.CountOf(0, 2);

        public long Grain => dBias is null ? GrainOf(5 * sizes.Flops) : 1;

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            var head = new AttentionHead(sizes, backward: true);
            for (long block = start; block < end; block++)
            {
                if (dBias is null)
                {
                    Head<V>(block, block + 1, head, null);
                    continue;
                }

                long groups = dBias.Sums.Shape[1], piece = block / groups, group = block % groups;
                long last = Math.Min(dBias.Repeats, (piece + 1) * dBias.PerPiece), matrix = (long)sizes.Queries * sizes.Keys;
                float* sums = _sums + (block * matrix);
                new Span<float>(sums, checked((int)matrix)).Clear();
                for (long repeat = piece * dBias.PerPiece; repeat < last; repeat++)
                    Head<V>((repeat * groups) + group, ((repeat + 1) * groups) + group, head, sums);
            }
        }

        private void Head<V>(long item, long next, in AttentionHead head, float* sums)
            where V : unmanaged, IFloatLane<V>
        {
            var inputs = _heads[item];
            head.Load<V>(inputs);
            head.Backward<V>(inputs, _heads.Terms(item), _rows.At(item),
                Target(dq, _dq, item), Target(dk, _dk, item), Target(dv, _dv, item), sums, _heads[next]);
        }

        private static HeadTarget Target(GradTarget? target, in MatrixStack<float> stack, long item) =>
            target is { } some ? new HeadTarget(Heads.Rows(stack, item), some.Accumulate) : default;

        private static MatrixStack<float> Stack(GradTarget? target) => target is { } some ? new(some.Tensor) : default;
    }
}
