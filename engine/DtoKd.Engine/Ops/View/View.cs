namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The same elements, in row-major order, under another shape. A view when the strides allow, a copy otherwise.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="shape">The new shape, of as many elements.</param>
    /// <exception cref="ArgumentException">The numbers of elements differ.</exception>
    public static Tensor Reshape(Tensor x, Shape shape)
    {
        if (x.Shape == shape)
            return x;
        if (x.Count != shape.Count)
            throw new ArgumentException($"reshape: {x.Shape} has {x.Count} elements, {shape} has {shape.Count}");
        if (!x.IsContiguous)
            x = Contiguous(x);
        return Viewed("reshape", x, shape, Strides.Contiguous(shape), 0, IsTracked(x) ? new ReshapeNode() : null);
    }

    /// <summary>The axes in another order: axis i of the result is axis <c>order[i]</c> of the input. A view.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="order">Each axis of the input once; negative ones count from the last.</param>
    /// <exception cref="ArgumentException">Not a permutation of the axes.</exception>
    public static Tensor Permute(Tensor x, params ReadOnlySpan<int> order)
    {
        if (order.Length != x.Shape.Rank)
            throw new ArgumentException($"permute: order [{string.Join(", ", order.ToArray())}] for shape {x.Shape}");
        Span<int> sizes = stackalloc int[order.Length], inverse = stackalloc int[order.Length];
        inverse.Fill(-1);
        var strides = default(Strides);
        for (int i = 0; i < order.Length; i++)
        {
            int axis = x.Shape.Axis(order[i]);
            if (inverse[axis] >= 0)
                throw new ArgumentException($"permute: axis {axis} stands twice in [{string.Join(", ", order.ToArray())}]");
            inverse[axis] = i;
            sizes[i] = x.Shape[axis];
            strides[i] = x.Strides[axis];
        }

        return Viewed("permute", x, new Shape(sizes), strides, 0, IsTracked(x) ? new PermuteNode(inverse.ToArray()) : null);
    }

    /// <summary>Two axes exchanged. A view.</summary>
    public static Tensor Transpose(Tensor x, int a, int b)
    {
        Span<int> order = stackalloc int[x.Shape.Rank];
        for (int i = 0; i < order.Length; i++)
            order[i] = i;
        (a, b) = (x.Shape.Axis(a), x.Shape.Axis(b));
        (order[a], order[b]) = (b, a);
        return Permute(x, order);
    }

    /// <summary>The tensor repeated along axes of size 1, and along new leading axes, without copying.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="shape">A shape that the input's broadcasts to.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Expand(Tensor x, Shape shape)
    {
        if (x.Shape == shape)
            return x;
        if (Shape.Broadcast("expand", x.Shape, shape) != shape)
            throw new ArgumentException($"expand: {x.Shape} does not broadcast to {shape}");
        return Viewed("expand", x, shape, x.Strides.BroadcastTo(x.Shape, shape), 0, IsTracked(x) ? new ExpandNode() : null);
    }

    /// <summary>
    /// Every <paramref name="stride"/>-th element from <paramref name="start"/> up to, not including, <paramref name="end"/> along an
    /// axis. A view. As in Python, both are clipped to the axis, and a backward range is empty.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <param name="start">The first index; negative counts from the end.</param>
    /// <param name="end">The index after the last; negative counts from the end.</param>
    /// <param name="stride">At least 1.</param>
    /// <exception cref="ArgumentException">There is no such axis, or the stride is less than 1.</exception>
    public static Tensor Slice(Tensor x, int axis, int start, int end = int.MaxValue, int stride = 1)
    {
        axis = x.Shape.Axis(axis);
        int size = x.Shape[axis];
        start = Math.Clamp(start < 0 ? start + size : start, 0, size);
        end = Math.Clamp(end < 0 ? end + size : end, start, size);
        if (stride < 1)
            throw new ArgumentException($"slice: stride {stride} of shape {x.Shape}; use at least 1");
        var strides = x.Strides;
        strides[axis] *= stride;
        var shape = x.Shape.With(axis, (end - start + stride - 1) / stride);
        return Viewed(
            "slice", x, shape, strides, start * x.Strides[axis], IsTracked(x) ? new SliceNode(axis, start, stride) : null);
    }

    /// <summary>The same elements as a tensor of the step that no tape sees, for use inside an operation.</summary>
    private static Tensor Untracked(Step step, Tensor x) => Untracked(step, x, x.Shape, x.Strides);

    /// <summary>As above, under another shape.</summary>
    private static Tensor Untracked(Step step, Tensor x, Shape shape, in Strides strides)
    {
        var view = x.View(shape, strides, 0, x.Origin);
        step.Own(view);
        return view;
    }

    /// <summary>
    /// Indices <paramref name="start"/> up to <paramref name="end"/> of an axis, as above. Unlike <see cref="Slice"/> it is no operation:
    /// the elements need not be written yet.
    /// </summary>
    private static Tensor Part(Step step, Tensor x, int axis, int start, int end)
    {
        var view = x.View(x.Shape.With(axis, end - start), x.Strides, start * x.Strides[axis], x.Origin);
        step.Own(view);
        return view;
    }

    private static bool IsTracked(Tensor x) => x.Step is { } step && step.Tracks(x);

    /// <summary>A view of the step, recorded with <paramref name="node"/> if there is one.</summary>
    private static Tensor Viewed(string op, Tensor x, Shape shape, in Strides strides, long offset, Node? node)
    {
        var step = Step.Of(op, x);
        var y = x.View(shape, strides, offset, op);
        step.Own(y);
        if (node is not null)
            step.Record(y, node, x);
        return y;
    }

    private sealed class ReshapeNode : Node
    {
        public override string Name => "reshape";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Reshape(dy, Inputs[0].Shape));
    }

    private sealed class PermuteNode(int[] inverse) : Node
    {
        public override string Name => "permute";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Permute(dy, inverse));
    }

    private sealed class ExpandNode : Node
    {
        public override string Name => "expand";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, SumTo(dy, Inputs[0].Shape));
    }

    private sealed class SliceNode(int axis, int start, int stride) : Node
    {
        public override string Name => "slice";

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            int end = start + ((dy.Shape[axis] - 1) * stride) + 1;
            Copy(dy, Slice(into.Step.Use(target.Tensor), axis, start, Math.Max(start, end), stride), accumulate: true);
        }
    }
}
