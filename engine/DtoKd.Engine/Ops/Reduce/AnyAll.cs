namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>Whether any element of a mask is set, over axes; false over none.</summary>
    /// <param name="mask">A Bool tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    public static Tensor Any(Tensor mask, int[]? axes = null, bool keepAxes = false) => Find("any", mask, true, axes, keepAxes);

    /// <summary>Whether all elements of a mask are set, over axes; true over none.</summary>
    /// <inheritdoc cref="Any"/>
    public static Tensor All(Tensor mask, int[]? axes = null, bool keepAxes = false) => Find("all", mask, false, axes, keepAxes);

    /// <summary>The sought value where it occurs over the axes, the other one elsewhere.</summary>
    private static Tensor Find(string op, Tensor mask, bool sought, int[]? axes, bool keepAxes)
    {
        var step = Step.Of(op, mask);
        RequireMask(op, mask);
        var plan = new ReductionPlan(op, mask, axes);
        var arranged = Contiguous(plan.Arrange(mask));
        var y = plan.NewResult(step, keepAxes, DType.Bool, op);
        if (!y.Device.IsHost)
        {
            Gpu.FindGpu.Run(arranged, sought, y, plan);
            return y;
        }

        bool* px = arranged.Pointer<bool>(), py = y.Pointer<bool>();
        for (long line = 0; line < y.Count; line++)
        {
            bool* first = px + (line / plan.Inner * plan.Reduced * plan.Inner) + (line % plan.Inner);
            bool found = false;
            for (long r = 0; r < plan.Reduced && !found; r++)
                found = first[r * plan.Inner] == sought;
            py[line] = found == sought;
        }

        return y;
    }
}
