namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Elements moved along axes, with those that leave at one end entering at the other: index i of the input becomes index
    /// i + shift, modulo the size.
    /// </summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="shifts">How far along each of the axes; of any sign and size.</param>
    /// <param name="axes">The axes; negative ones count from the last. An axis named twice is moved twice.</param>
    /// <exception cref="ArgumentException">The numbers of shifts and axes differ, or there is no such axis.</exception>
    public static Tensor Roll(Tensor x, ReadOnlySpan<int> shifts, ReadOnlySpan<int> axes)
    {
        var step = Step.Of("roll", x);
        if (shifts.Length != axes.Length)
            throw new ArgumentException($"roll: {shifts.Length} shifts for {axes.Length} axes");
        var shift = new int[x.Shape.Rank];
        for (int i = 0; i < axes.Length; i++)
        {
            int axis = x.Shape.Axis(axes[i]), size = Math.Max(1, x.Shape[axis]);
            shift[axis] = (int)(((long)shift[axis] + shifts[i]) % size + size) % size;
        }

        var y = step.New(x.Shape, x.DType, "roll");
        RollBlocks(step, x, y, shift, 0);
        if (step.Tracks(x))
            step.Record(y, new RollNode(shift), x);
        return y;
    }

    // Along each axis that moves, the tensor falls into two blocks that stay whole.
    private static void RollBlocks(Step step, Tensor x, Tensor y, int[] shift, int axis)
    {
        while (axis < shift.Length && shift[axis] == 0)
            axis++;
        if (axis == shift.Length)
        {
            Copy(x, y, accumulate: false);
            return;
        }

        int size = x.Shape[axis], cut = size - shift[axis];
        RollBlocks(step, Part(step, x, axis, 0, cut), Part(step, y, axis, shift[axis], size), shift, axis + 1);
        RollBlocks(step, Part(step, x, axis, cut, size), Part(step, y, axis, 0, shift[axis]), shift, axis + 1);
    }

    /// <summary>The gradient moves back.</summary>
    private sealed class RollNode(int[] shift) : Node
    {
        public override string Name => "roll";

        public override void Backward(Tensor dy, Gradients into) =>
            into.Give(0, Roll(dy, Array.ConvertAll(shift, s => -s), [.. Enumerable.Range(0, shift.Length)]));
    }
}
