namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The order of the elements reversed along axes. A copy.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="axes">The axes; negative ones count from the last.</param>
    /// <exception cref="ArgumentException">No such axis, or an axis named twice.</exception>
    public static Tensor Flip(Tensor x, params ReadOnlySpan<int> axes)
    {
        var step = Step.Of("flip", x);
        var strides = x.Strides;
        long offset = 0;
        for (int i = 0; i < axes.Length; i++)
        {
            int axis = x.Shape.Axis(axes[i]);
            for (int j = 0; j < i; j++)
            {
                if (x.Shape.Axis(axes[j]) == axis)
                    throw new ArgumentException($"flip: axis {axis} stands twice in [{string.Join(", ", axes.ToArray())}]");
            }

            strides[axis] = -strides[axis];
            offset += Math.Max(0, x.Shape[axis] - 1) * x.Strides[axis];
        }

        var y = step.New(x.Shape, x.DType, "flip");
        using (var reversed = x.View(x.Shape, strides, offset, "flip"))
            Copy(reversed, y, accumulate: false);
        if (step.Tracks(x))
            step.Record(y, new FlipNode(axes.ToArray()), x);
        return y;
    }

    /// <summary>The whole tensor repeated along axes.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="repeats">How often along each axis; more numbers than the tensor has axes add leading axes.</param>
    /// <exception cref="ArgumentException">Fewer numbers than axes, or a negative one.</exception>
    public static Tensor Repeat(Tensor x, params ReadOnlySpan<int> repeats)
    {
        var step = Step.Of("repeat", x);
        if (repeats.Length < x.Shape.Rank || repeats.Length > Shape.MaxRank)
            throw new ArgumentException($"repeat: {repeats.Length} numbers for shape {x.Shape}, expected one per axis");
        var y = x.Step is null ? step.Use(x) : x;
        while (y.Shape.Rank < repeats.Length)
            y = Reshape(y, y.Shape.Insert(0, 1));
        for (int axis = 0; axis < repeats.Length; axis++)
        {
            if (repeats[axis] < 0)
                throw new ArgumentException($"repeat: {repeats[axis]} times along axis {axis}; use at least 0");
            if (repeats[axis] == 0)
                y = Slice(y, axis, 0, 0);
            else if (y.Shape[axis] == 1)
                y = Expand(y, y.Shape.With(axis, repeats[axis]));
            else if (repeats[axis] > 1)
                y = Concat([.. Enumerable.Repeat(y, repeats[axis])], axis);
        }

        return Contiguous(y);
    }

    /// <summary>The gradient is turned round again.</summary>
    private sealed class FlipNode(int[] axes) : Node
    {
        public override string Name => "flip";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Flip(dy, axes));
    }
}
