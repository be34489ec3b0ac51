namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Self-attention inside each window of a map with a relative position bias: the attention of a Swin block (Liu et al.,
    /// "Swin Transformer", 2021, eq. 4), between its two linear layers. With a shift, the windows are those of the map rolled by
    /// (-down, -right); places that were not neighbours before do not see each other (section 3.2).
    /// </summary>
    /// <param name="qkv">
    /// [B, H, W, 3 C] in the map's own order, of which the last axis is laid out as <see cref="SelfAttention"/> has it; H and W
    /// are multiples of the window.
    /// </param>
    /// <param name="heads">The number of heads.</param>
    /// <param name="table">[(2 window - 1)^2, heads], timm's <c>relative_position_bias_table</c>.</param>
    /// <param name="window">The windows' side.</param>
    /// <param name="shiftDown">How far the map is rolled along its height, 0 .. window - 1.</param>
    /// <param name="shiftRight">How far the map is rolled along its width, 0 .. window - 1.</param>
    /// <returns>[B, H, W, C] in the map's own order.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor WindowAttention(Tensor qkv, int heads, Tensor table, int window, int shiftDown = 0, int shiftRight = 0)
    {
        const string op = "window_attention";
        var step = Step.Of(op, qkv, table);
        Pointwise.RequireFloat(op, qkv);
        Pointwise.RequireSameType(op, qkv, table);
        if (qkv.Shape.Rank != 4 || heads < 1 || qkv.Shape[3] % (3 * heads) != 0)
            throw new ArgumentException($"{op}: got qkv {qkv.Shape} for {heads} heads, expected [B, H, W, 3 heads d]");
        var layout = WindowLayout.Of(op, qkv.Shape[1], qkv.Shape[2], window, shiftDown, shiftRight);
        if (table.Shape != [layout.TableRows, heads])
        {
            throw new ArgumentException(
                $"{op}: got table {table.Shape} for windows of {window}, expected [{layout.TableRows}, {heads}]");
        }

        bool onHost = qkv.Device.IsHost;
        if (qkv.DType != DType.F32 || (!onHost && !Gpu.WindowAttentionGpu.Takes(window)))
            return ComposedWindowAttention(qkv, heads, table, window, shiftDown, shiftRight);
        (qkv, table) = (Contiguous(qkv), Contiguous(table));
        var y = step.New(qkv.Shape.With(3, qkv.Shape[3] / 3), DType.F32, op);
        using var own = step.OwnScope();
        Tensor[] saved = [table];
        if (onHost)
        {
            var kernel = new WindowAttentionCpu(layout, qkv, heads);
            var spread = step.New([layout.TableRows, kernel.TableStride], DType.F32, op);
            var rows = step.New(kernel.SavedShape, DType.F32, op);
            kernel.SpreadTable(table, spread);
            kernel.Forward(spread, y, rows);
            saved = [spread, rows];
        }
        else
        {
            new Gpu.WindowAttentionGpu(layout, qkv, table, heads).Forward(y);
        }

        if (step.Tracks(qkv, table))
            step.Record(y, new WindowAttentionNode(layout, qkv, heads, saved), qkv, table);
        return y;
    }

    /// <summary>
    /// <see cref="WindowAttention"/> by rolling the map, cutting it into windows and attending within each: what doubles and
    /// devices without a kernel of their own run, and what the kernel is tested against.
    /// </summary>
    internal static Tensor ComposedWindowAttention(Tensor qkv, int heads, Tensor table, int window, int shiftDown, int shiftRight)
    {
        int height = qkv.Shape[1], width = qkv.Shape[2], tokens = window * window, windows = height * width / tokens;
        bool shifted = shiftDown + shiftRight > 0;
        if (shifted)
            qkv = Roll(qkv, [-shiftDown, -shiftRight], [1, 2]);
        var parts = WindowPartition(qkv, window);
        var bias = RelativePositionBias(table.Step is null ? qkv.Step!.Use(table) : table, window, window);
        if (shifted)
        {
            var mask = ShiftMask(qkv.Step!, height, width, window, shiftDown, shiftRight, qkv.DType);
            bias += Reshape(mask, [windows, 1, tokens, tokens]);
            parts = Reshape(parts, [qkv.Shape[0], windows, tokens, qkv.Shape[3]]);
        }

        var y = Reshape(SelfAttention(parts, heads, bias), [qkv.Shape[0] * windows, tokens, qkv.Shape[3] / 3]);
        y = WindowReverse(y, window, height, width);
        return shifted ? Roll(y, [shiftDown, shiftRight], [1, 2]) : y;
    }

    /// <summary>As in attention; the gradient of the table is that of the scores, summed over all pairs that a row is for.</summary>
    private sealed class WindowAttentionNode : Node
    {
        private readonly WindowLayout _layout;
        private readonly Tensor _qkv;
        private readonly int _heads;

        // The CPU's spread table and rows, or the table.
        private readonly Tensor[] _saved;

        public WindowAttentionNode(WindowLayout layout, Tensor qkv, int heads, Tensor[] saved)
        {
            _layout = layout;
            _qkv = Save(qkv);
            _heads = heads;
            _saved = Array.ConvertAll(saved, Save);
        }

        public override string Name => "window_attention";

        public override long MultiplyAdds => _qkv.Count / 3 * _layout.Tokens * 2;

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            GradTarget? dQkv = into.Wants(0) ? into.Target(0) : null;
            Tensor? NewTable(int pieces) =>
                into.Wants(1) ? into.Step.New([pieces, .. Inputs[1].Shape.ToArray()], DType.F32, "gradient") : null;
            Tensor? dTable;
            if (dy.Device.IsHost)
            {
                var kernel = new WindowAttentionCpu(_layout, _qkv, _heads);
                dTable = NewTable(kernel.Pieces);
                kernel.Backward(_saved[0], _saved[1], dy, dQkv, dTable);
            }
            else
            {
                var kernel = new Gpu.WindowAttentionGpu(_layout, _qkv, _saved[0], _heads);
                dTable = NewTable(kernel.Pieces);
                kernel.Backward(dy, dQkv, dTable);
            }

            if (dTable is not null)
                into.Give(1, Sum(dTable, [0]));
        }
    }
}
