namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The sum over axes.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to sum over; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the summed axes stay, with size 1.</param>
    public static Tensor Sum(Tensor x, int[]? axes = null, bool keepAxes = false)
    {
        var step = Step.Of("sum", x);
        Pointwise.RequireFloat("sum", x);
        var plan = new ReductionPlan("sum", x, axes);
        var y = plan.NewResult(step, keepAxes, x.DType, "sum");
        SumKernels.For(x).Sum(plan.ArrangeUntracked(x), y, plan.Outer, plan.Reduced, plan.Inner);
        if (step.Tracks(x))
            step.Record(y, new SumNode(plan.KeptShape), x);
        return y;
    }

    /// <summary>Sums over the axes along which <paramref name="shape"/> was broadcast to <paramref name="x"/>'s shape.</summary>
    internal static Tensor SumTo(Tensor x, Shape shape)
    {
        if (x.Shape == shape)
            return x;
        int lead = x.Shape.Rank - shape.Rank;
        var axes = new List<int>(Shape.MaxRank);
        for (int i = 0; i < x.Shape.Rank; i++)
        {
            if (i < lead || (shape[i - lead] == 1 && x.Shape[i] != 1))
                axes.Add(i);
        }

        return Reshape(Sum(x, [.. axes]), shape);
    }

    internal static readonly KernelTable<ISumKernels> SumKernels = new(new SumReference(), new SumCpu(), new Gpu.SumGpu());

    /// <summary>The gradient of every summed element is that of the sum.</summary>
    private sealed class SumNode(Shape kept) : Node
    {
        public override string Name => "sum";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Expand(Reshape(dy, kept), Inputs[0].Shape));
    }
}

/// <summary>Kernels of <see cref="Op.Sum"/>.</summary>
internal interface ISumKernels
{
    /// <summary>y[o, i] = sum over r of x[o, r, i], both contiguous.</summary>
    void Sum(Tensor x, Tensor y, long outer, long reduced, long inner);
}
