namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The mean over axes; NaN over none.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    public static Tensor Mean(Tensor x, int[]? axes = null, bool keepAxes = false) =>
        Affine(Sum(x, axes, keepAxes), 1.0 / new ReductionPlan("mean", x, axes).Reduced);
}
