using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>One run of an operation's sample: the result, the gradients, and what was left in the pool.</summary>
internal sealed record OpRun(Shape Shape, double[] Result, double[]?[] Gradients, long LeftBytes)
{
    /// <summary>How the inputs lie in memory.</summary>
    public enum Layout
    {
        Contiguous,
        Strided,
    }

    public static OpRun Of(
        OpSample sample, DType floats, bool gradients, int threads = 2, SimdLevel? simd = null, Layout layout = Layout.Contiguous)
    {
        using var device = new CpuDevice(threads, simd);
        return On(device, sample, floats, gradients, layout);
    }

    public static OpRun On(
        Device device, OpSample sample, DType floats, bool gradients, Layout layout = Layout.Contiguous)
    {
        var (shape, result, grads) = Run(device, sample, floats, gradients, layout);
        return new OpRun(shape, result, grads, device.Pool.LiveBytes);
    }

    private static (Shape Shape, double[] Result, double[]?[] Gradients) Run(
        Device device, OpSample sample, DType floats, bool gradients, Layout layout)
    {
        using var step = gradients ? Step.Recording(device) : Step.Evaluation(device);
        var inputs = Inputs(step, sample, floats);
        if (layout == Layout.Strided)
            inputs = Array.ConvertAll(inputs, Strided);
        if (gradients)
            inputs = Array.ConvertAll(inputs, x => x.DType.IsFloat() ? step.Watch(x) : x);
        var y = sample.Run(inputs);
        var grads = new double[]?[inputs.Length];
        if (gradients)
        {
            using var store = new GradStore();
            // The seed is held here; past one more operation the gradient is the rule's own, to be overwritten as in a network.
            step.Tape.Backward(Op.Affine(y, 1), Seed(step, y), store);
            for (int i = 0; i < inputs.Length; i++)
            {
                if (inputs[i].DType.IsFloat())
                    grads[i] = store.Of(inputs[i])?.ToDoubles() ?? new double[inputs[i].Count];
            }
        }

        return (y.Shape, Doubles(y), grads);
    }

    public static Tensor[] Inputs(Step step, OpSample sample, DType floats) =>
        [.. sample.Inputs.Select((input, i) => input.Make(step, (i * 7919) + 17, floats))];

    private static Tensor Seed(Step step, Tensor y)
    {
        var values = new double[y.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(Math.Sin(1.7 * i) + 0.3);
        return y.DType == DType.F64 ? step.From(values, y.Shape) : step.From(Array.ConvertAll(values, v => (float)v), y.Shape);
    }

    // The same elements with gaps between them and, for two axes or more, the axes in reversed order in memory.
    private static Tensor Strided(Tensor x)
    {
        int rank = x.Shape.Rank;
        if (rank == 0 || rank == Shape.MaxRank)
            return x;
        var wide = x.Step!.New(new Shape([.. x.Shape.Reverse(), 2]), x.DType, "strided");
        wide.Clear();
        // [reversed sizes, 2] -> drop one of the two -> reverse the axes: every stride is even and none is 1.
        var flat = Op.Slice(wide, rank, 1, 2);
        var strides = default(Strides);
        for (int i = 0; i < rank; i++)
            strides[i] = flat.Strides[rank - 1 - i];
        var view = flat.View(x.Shape, strides, 0, "strided");
        x.Step.Own(view);
        Op.Copy(x, view, accumulate: false);
        return view;
    }

    private static double[] Doubles(Tensor y) => y.DType switch
    {
        DType.F32 or DType.F64 => y.ToDoubles(),
        DType.I64 => Array.ConvertAll(y.ToArray<long>(), v => (double)v),
        DType.I32 => Array.ConvertAll(y.ToArray<int>(), v => (double)v),
        _ => Array.ConvertAll(y.ToArray<bool>(), v => v ? 1.0 : 0),
    };
}
