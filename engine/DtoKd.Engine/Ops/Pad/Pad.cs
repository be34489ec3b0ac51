namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>A border of a constant around a tensor.</summary>
    /// <param name="x">Any tensor.</param>
    /// <param name="pads">
    /// How many elements come before and after, last axis first: (left, right) or (left, right, top, bottom) and so on. A
    /// negative number cuts elements off.
    /// </param>
    /// <param name="value">The constant.</param>
    /// <exception cref="ArgumentException">Not two pads per axis, or more is cut off than there is.</exception>
    public static Tensor Pad(Tensor x, ReadOnlySpan<int> pads, double value = 0)
    {
        var step = Step.Of("pad", x);
        if (pads.Length % 2 != 0 || pads.Length > 2 * x.Shape.Rank)
            throw new ArgumentException($"pad: {pads.Length} pads for shape {x.Shape}, expected two per axis");
        var shape = x.Shape;
        for (int i = 0; i < pads.Length; i += 2)
        {
            int axis = x.Shape.Rank - 1 - (i / 2), size = x.Shape[axis] + pads[i] + pads[i + 1];
            if (size < 0 || x.Shape[axis] + Math.Min(0, pads[i]) < 0 || x.Shape[axis] + Math.Min(0, pads[i + 1]) < 0)
                throw new ArgumentException($"pad: ({pads[i]}, {pads[i + 1]}) cuts too much off axis {axis} of {x.Shape}");
            shape = shape.With(axis, size);
        }

        var y = step.New(shape, x.DType, "pad");
        y.Fill(value);
        Tensor source = x, target = y;
        for (int i = 0; i < pads.Length; i += 2)
        {
            int axis = x.Shape.Rank - 1 - (i / 2), before = pads[i], after = pads[i + 1];
            source = Part(step, source, axis, Math.Max(0, -before), x.Shape[axis] - Math.Max(0, -after));
            target = Part(step, target, axis, Math.Max(0, before), shape[axis] - Math.Max(0, after));
        }

        Copy(source, target, accumulate: false);
        if (step.Tracks(x))
            step.Record(y, new PadNode(pads.ToArray()), x);
        return y;
    }

    /// <summary>What was put around is cut off again, and what was cut off has no gradient.</summary>
    private sealed class PadNode(int[] pads) : Node
    {
        public override string Name => "pad";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Pad(dy, Array.ConvertAll(pads, pad => -pad)));
    }
}
