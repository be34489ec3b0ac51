namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The vector norm over axes: the sum of |x| (p = 1), the root of the sum of x^2 (p = 2), or the largest |x| (p infinite).
    /// The derivative at 0 is taken as 0; equal largest elements share it.
    /// </summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="p">1, 2 or infinity.</param>
    /// <param name="axes">The axes to reduce; null or none for all. Negative ones count from the last.</param>
    /// <param name="keepAxes">Whether the reduced axes stay, with size 1.</param>
    /// <exception cref="ArgumentException">Another p.</exception>
    public static Tensor Norm(Tensor x, double p = 2, int[]? axes = null, bool keepAxes = false) => p switch
    {
        1 => Sum(Abs(x), axes, keepAxes),
        2 => Pointwise.Unary("norm", Sum(Square(x), axes, keepAxes), default(RootFormula)),
        double.PositiveInfinity => Amax(Abs(x), axes, keepAxes),
        _ => throw new ArgumentException($"norm: p is {p}, must be 1, 2 or infinity"),
    };
}
