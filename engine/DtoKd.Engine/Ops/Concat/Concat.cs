namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>Tensors one after another along an axis.</summary>
    /// <param name="tensors">At least one; of one type and of equal sizes along the other axes.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <exception cref="ArgumentException">Types or shapes do not fit.</exception>
    public static Tensor Concat(ReadOnlySpan<Tensor> tensors, int axis)
    {
        var step = Step.Of("concat", tensors);
        var first = tensors[0];
        axis = first.Shape.Axis(axis);
        int size = 0;
        foreach (var x in tensors)
        {
            Pointwise.RequireSameType("concat", first, x);
            if (x.Shape.Rank != first.Shape.Rank || x.Shape.With(axis, 1) != first.Shape.With(axis, 1))
                throw new ArgumentException($"concat: got shape {x.Shape} after {first.Shape}, which differ beside axis {axis}");
            size += x.Shape[axis];
        }

        var y = step.New(first.Shape.With(axis, size), first.DType, "concat");
        int start = 0;
        foreach (var x in tensors)
        {
            Copy(x, Part(step, y, axis, start, start + x.Shape[axis]), accumulate: false);
            start += x.Shape[axis];
        }

        if (step.Tracks(tensors))
            step.Record(y, new ConcatNode(axis), tensors);
        return y;
    }

    /// <summary>Tensors of one shape side by side along a new axis.</summary>
    /// <param name="tensors">At least one.</param>
    /// <param name="axis">Where the new axis stands in the result; negative counts from the result's last.</param>
    /// <exception cref="ArgumentException">Types or shapes differ.</exception>
    public static Tensor Stack(ReadOnlySpan<Tensor> tensors, int axis)
    {
        var step = Step.Of("stack", tensors);
        var shape = tensors[0].Shape;
        var stacked = shape.Insert(0, 1);
        axis = stacked.Axis(axis);
        var slices = new Tensor[tensors.Length];
        for (int i = 0; i < slices.Length; i++)
        {
            if (tensors[i].Shape != shape)
                throw new ArgumentException($"stack: got shape {tensors[i].Shape} after {shape}, expected equal shapes");
            slices[i] = Reshape(tensors[i].Step is null ? step.Use(tensors[i]) : tensors[i], shape.Insert(axis, 1));
        }

        return Concat(slices, axis);
    }

    /// <summary>Consecutive parts along an axis. Views.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="sizes">The parts' sizes, which add up to the axis's.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <exception cref="ArgumentException">The sizes do not add up.</exception>
    public static Tensor[] Split(Tensor x, ReadOnlySpan<int> sizes, int axis)
    {
        axis = x.Shape.Axis(axis);
        long total = 0;
        foreach (int size in sizes)
            total += size >= 0 ? size : throw new ArgumentException($"split: negative size {size}");
        if (total != x.Shape[axis])
            throw new ArgumentException($"split: the sizes add up to {total}, axis {axis} of {x.Shape} has {x.Shape[axis]}");
        var parts = new Tensor[sizes.Length];
        for (int i = 0, start = 0; i < parts.Length; start += sizes[i++])
            parts[i] = Slice(x, axis, start, start + sizes[i]);
        return parts;
    }

    /// <summary>
    /// At most <paramref name="chunks"/> consecutive parts of equal size along an axis, the last one smaller where the size does
    /// not divide. Views.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="chunks">At least 1.</param>
    /// <param name="axis">The axis; negative counts from the last.</param>
    /// <exception cref="ArgumentException">Less than one part.</exception>
    public static Tensor[] Chunk(Tensor x, int chunks, int axis)
    {
        if (chunks < 1)
            throw new ArgumentException($"chunk: {chunks} parts; use at least 1");
        int size = x.Shape[axis];
        int part = Math.Max(1, (size + chunks - 1) / chunks);
        var sizes = new int[Math.Max(1, (size + part - 1) / part)];
        Array.Fill(sizes, part);
        sizes[^1] = size - ((sizes.Length - 1) * part);
        return Split(x, sizes, axis);
    }

    /// <summary>Each input's gradient is its part of the result's.</summary>
    private sealed class ConcatNode(int axis) : Node
    {
        public override string Name => "concat";

        public override void Backward(Tensor dy, Gradients into)
        {
            int start = 0;
            for (int i = 0; i < Inputs.Length; i++)
            {
                int size = Inputs[i].Shape.Rank == 0 ? 0 : Inputs[i].Shape[axis];
                if (into.Wants(i))
                    into.Give(i, Slice(dy, axis, start, start + size));
                start += size;
            }
        }
    }
}
