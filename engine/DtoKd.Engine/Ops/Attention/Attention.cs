namespace DtoKd.Engine;

public static partial class Op
{
    internal static readonly KernelTable<IAttentionKernels> AttentionKernels =
        new(new AttentionReference(), new AttentionCpu(), new Gpu.AttentionGpu());

    /// <summary>
    /// Scaled dot-product attention, softmax(scale q k^T + bias) v for every head, after Vaswani et al., "Attention Is All You
    /// Need" (2017), eq. 1. The scores exist for some queries at a time only; the backward pass computes them again.
    /// </summary>
    /// <param name="q">Queries [..., Nq, d], the leading axes usually batch and heads; any strides.</param>
    /// <param name="k">Keys [..., Nk, d] of the same leading axes.</param>
    /// <param name="v">Values [..., Nk, dv] of the same leading axes.</param>
    /// <param name="bias">Added to the scaled scores; broadcasts to [..., Nq, Nk]. It has a gradient. Null for none.</param>
    /// <param name="mask">Bool, true where a query may attend to a key; broadcasts to [..., Nq, Nk]. Null for everywhere.</param>
    /// <param name="scale">The factor of q k^T; 1 / sqrt(d) when null.</param>
    /// <returns>[..., Nq, dv]; zeros for a query that may attend to nothing.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit.</exception>
    /// <remarks>
    /// In memory the result's heads stand beside the values' axis, so that exchanging axes -2 and -3 and joining the last two
    /// costs nothing.
    /// </remarks>
    public static Tensor Attention(
        Tensor q, Tensor k, Tensor v, Tensor? bias = null, Tensor? mask = null, double? scale = null)
    {
        var step = Step.Of("attention", q, k, v, bias, mask);
        Pointwise.RequireFloat("attention", q);
        Pointwise.RequireSameType("attention", q, k);
        Pointwise.RequireSameType("attention", q, v);
        if (q.Shape.Rank < 2 || k.Shape.Rank != q.Shape.Rank || v.Shape.Rank != q.Shape.Rank
            || BatchOf(k.Shape) != BatchOf(q.Shape) || BatchOf(v.Shape) != BatchOf(q.Shape)
            || k.Shape[^1] != q.Shape[^1] || v.Shape[^2] != k.Shape[^2])
        {
            throw new ArgumentException($"attention: got q {q.Shape}, k {k.Shape}, v {v.Shape}, "
                + "expected [..., Nq, d], [..., Nk, d], [..., Nk, dv]");
        }

        var inputs = new AttentionInputs("attention", step, q, k, v, bias, mask, scale);
        var result = q.Shape.With(-1, v.Shape[^1]);
        Tensor y;
        if (q.Shape.Rank == 2)
        {
            y = step.New(result, q.DType, "attention");
        }
        else
        {
            // [..., heads, Nq, dv] lies in memory as [..., Nq, heads, dv].
            var stored = step.New(result.With(-2, result[^3]).With(-3, result[^2]), q.DType, "attention");
            var strides = stored.Strides;
            int axis = result.Rank - 2;
            (strides[axis], strides[axis - 1]) = (strides[axis - 1], strides[axis]);
            y = Untracked(step, stored, result, strides);
        }

        var rows = step.New(q.Shape.With(-1, 2), q.DType, "attention");
        AttentionKernels.For(q).Forward(inputs, y, rows);
        if (step.Tracks(q, k, v, bias))
            step.Record(y, new AttentionNode(inputs, y, rows), q, k, v, bias);
        return y;
    }

    /// <summary>
    /// <see cref="Attention"/> of tokens with each other, from the product of a layer that gives queries, keys and values in one,
    /// as in timm's <c>attn.qkv</c>. Equal to cutting that product up, with less copying in the backward pass.
    /// </summary>
    /// <param name="qkv">[..., N, 3 C], of which the last axis is laid out as [3, heads, C / heads].</param>
    /// <param name="heads">The number of heads.</param>
    /// <param name="bias">As in <see cref="Attention"/>; broadcasts to [..., heads, N, N].</param>
    /// <param name="mask">As in <see cref="Attention"/>; broadcasts to [..., heads, N, N].</param>
    /// <param name="scale">The factor of q k^T; 1 / sqrt(C / heads) when null.</param>
    /// <returns>[..., N, C], of which the last axis is laid out as [heads, C / heads].</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit.</exception>
    public static Tensor SelfAttention(Tensor qkv, int heads, Tensor? bias = null, Tensor? mask = null, double? scale = null)
    {
        var step = Step.Of("self_attention", qkv, bias, mask);
        Pointwise.RequireFloat("self_attention", qkv);
        if (heads < 1 || qkv.Shape.Rank < 2 || qkv.Shape.Rank == Shape.MaxRank || qkv.Shape[^1] % (3 * heads) != 0)
            throw new ArgumentException($"self_attention: got qkv {qkv.Shape} for {heads} heads, expected [..., N, 3 heads d]");
        qkv = Contiguous(qkv);
        var y = step.New(qkv.Shape.With(-1, qkv.Shape[^1] / 3), qkv.DType, "self_attention");
        using var own = step.OwnScope();
        Tensor q = HeadsOf(step, qkv, heads, 3, 0), k = HeadsOf(step, qkv, heads, 3, 1), v = HeadsOf(step, qkv, heads, 3, 2);
        var inputs = new AttentionInputs("self_attention", step, q, k, v, bias, mask, scale);
        var rows = step.New(q.Shape.With(-1, 2), qkv.DType, "self_attention");
        AttentionKernels.For(qkv).Forward(inputs, HeadsOf(step, y, heads, 1, 0), rows);
        if (step.Tracks(qkv, bias))
            step.Record(y, new SelfAttentionNode(inputs, heads, y, rows), qkv, bias);
        return y;
    }

    /// <summary>One part of a contiguous [..., N, parts C] as [..., heads, N, C / heads], a view that no tape sees.</summary>
    private static Tensor HeadsOf(Step step, Tensor x, int heads, int parts, int part)
    {
        int rank = x.Shape.Rank, width = x.Shape[^1] / parts;
        var strides = Strides.Contiguous(x.Shape);
        strides[rank] = 1;
        strides[rank - 1] = x.Shape[^1];
        strides[rank - 2] = width / heads;
        var shape = x.Shape.With(-1, width / heads).Insert(rank - 2, heads);
        var view = x.View(shape, strides, (long)part * width, x.Origin);
        step.Own(view);
        return view;
    }

    /// <summary>
    /// With P the probabilities and dP = dy v^T: dv = P^T dy, dS = P (dP - the sum of P dP over the row), dq = scale dS k,
    /// dk = scale dS^T q, and the bias's gradient is dS summed over the axes along which it was broadcast.
    /// </summary>
    private sealed class AttentionNode : Node
    {
        private readonly AttentionInputs _inputs;
        private readonly Tensor? _y;
        private readonly Tensor _rows;

        public AttentionNode(AttentionInputs inputs, Tensor y, Tensor rows)
        {
            _inputs = inputs.Each(Save);
            _y = y.Device.IsHost ? null : Save(y);
            _rows = Save(rows);
        }

        public override string Name => "attention";

        public override long MultiplyAdds => _inputs.MultiplyAdds;

        public override void Backward(Tensor dy, Gradients into)
        {
            Shape? wanted = into.Wants(3) ? Inputs[3].Shape : null;
            var bias = AttentionBackward(_inputs, into, wanted, _y, _rows, dy, Target(0, into), Target(1, into), Target(2, into));
            if (bias is not null)
                into.Give(3, bias);
        }

        private GradTarget? Target(int input, Gradients into)
        {
            if (!into.Wants(input))
                return null;
            var target = into.Target(input);
            int roles = 0;
            foreach (var other in Inputs[..3])
                roles += other.Node == Inputs[input].Node ? 1 : 0;
            if (target.Accumulate || roles == 1)
                return target;
            // One tensor in two roles: the kernel would overwrite what it has just added.
            target.Tensor.Clear();
            return target with { Accumulate = true };
        }
    }

    private sealed class SelfAttentionNode : Node
    {
        private readonly AttentionInputs _inputs;
        private readonly int _heads;
        private readonly Tensor? _y;
        private readonly Tensor _rows;

        public SelfAttentionNode(AttentionInputs inputs, int heads, Tensor y, Tensor rows)
        {
            _inputs = inputs.Each(Save);
            _heads = heads;
            // Costs no memory: the layer behind has saved it anyway.
            _y = y.Device.IsHost ? null : Save(y);
            _rows = Save(rows);
        }

        public override string Name => "self_attention";

        public override long MultiplyAdds => _inputs.MultiplyAdds;

        public override void Backward(Tensor dy, Gradients into)
        {
            GradTarget? whole = into.Wants(0) ? into.Target(0) : null;
            GradTarget? Part(int part) => whole is { } target
                ? new GradTarget(HeadsOf(into.Step, target.Tensor, _heads, 3, part), target.Accumulate)
                : null;
            dy = HeadsOf(into.Step, Contiguous(dy), _heads, 1, 0);
            var y = _y is null ? null : HeadsOf(into.Step, _y, _heads, 1, 0);
            Shape? wanted = into.Wants(1) ? Inputs[1].Shape : null;
            var bias = AttentionBackward(_inputs, into, wanted, y, _rows, dy, Part(0), Part(1), Part(2));
            if (bias is not null)
                into.Give(1, bias);
        }
    }

    /// <summary>Runs the backward kernel and returns the gradient of the bias if it is wanted.</summary>
    private static Tensor? AttentionBackward(
        AttentionInputs x,
        Gradients into,
        Shape? bias,
        Tensor? y,
        Tensor rows,
        Tensor dy,
        GradTarget? dq,
        GradTarget? dk,
        GradTarget? dv)
    {
        var kernels = AttentionKernels.For(x.Q);
        if (bias is not { } shape)
        {
            kernels.Backward(x, y, rows, dy, dq, dk, dv, null);
            return null;
        }

        // The axes that the bias lacks come first, so that a block of work can own one matrix of the bias's gradient.
        int lead = x.Q.Shape.Rank - 2;
        var kept = x.Scores;
        var order = new List<int>();
        for (int axis = 0; axis < lead; axis++)
        {
            int own = axis - (lead + 2 - shape.Rank);
            if (own >= 0 && shape[own] == x.Scores[axis])
                continue;
            order.Add(axis);
            kept = kept.With(axis, 1);
        }

        order.AddRange(Enumerable.Range(0, lead + 2).Except(order).ToArray());
        Tensor Ordered(Tensor tensor) => Permute(Untracked(into.Step, tensor), [.. order]);
        GradTarget? OrderedTarget(GradTarget? target) =>
            target is { } some ? new GradTarget(Ordered(some.Tensor), some.Accumulate) : null;

        long groups = kept.CountOf(0, lead), repeats = groups == 0 ? 0 : x.Scores.CountOf(0, lead) / groups;
        long enough = x.Q.Device.IsHost ? BiasPieces : BiasPiecesOfGpu;
        long perPiece = Math.Max(1, repeats / Math.Max(1, enough / Math.Max(1, groups)));
        int pieces = checked((int)((repeats + perPiece - 1) / perPiece));
        var sums = into.Step.New(
            [pieces, checked((int)groups), x.Scores[^2], x.Scores[^1]], x.Q.DType, "gradient");
        kernels.Backward(
            x.Each(Ordered),
            y is null ? null : Ordered(y),
            Ordered(rows),
            Ordered(dy),
            OrderedTarget(dq),
            OrderedTarget(dk),
            OrderedTarget(dv),
            new BiasSums(sums, repeats, perPiece));
        return SumTo(Reshape(Sum(sums, [0]), kept), shape);
    }

    // Enough pieces of work to share out when few heads share one bias over a large batch: a GPU wants more of them.
    private const long BiasPieces = 32;
    private const long BiasPiecesOfGpu = 1024;
}

/// <summary>Kernels of <see cref="Op.Attention"/>.</summary>
internal interface IAttentionKernels
{
    /// <summary>Writes the result and, for each query, the largest score and one divided by the sum of exponentials.</summary>
    /// <param name="x">The inputs.</param>
    /// <param name="y">[..., Nq, dv] with contiguous rows.</param>
    /// <param name="rows">Contiguous [..., Nq, 2].</param>
    void Forward(AttentionInputs x, Tensor y, Tensor rows);

    /// <summary>
    /// Adds up the gradients that have a target; targets have contiguous rows. The result is there on devices, which have the sum of
    /// P dP over a row of scores from it: it is the sum of dy y.
    /// </summary>
    void Backward(
        AttentionInputs x, Tensor? y, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias);
}

/// <summary>
/// Where the gradient of a bias goes that repeats along the leading axes of the inputs, which come first: matrix g of piece p is
/// the sum over the p-th <paramref name="PerPiece"/> of <paramref name="Repeats"/> repetitions.
/// </summary>
/// <param name="Sums">[pieces, groups, Nq, Nk].</param>
/// <param name="Repeats">Repetitions of each of the groups.</param>
/// <param name="PerPiece">How many of them a piece sums.</param>
internal sealed record BiasSums(Tensor Sums, long Repeats, long PerPiece);
