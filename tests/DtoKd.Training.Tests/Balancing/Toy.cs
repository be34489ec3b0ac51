namespace DtoKd.Training.Tests.Balancing;

/// <summary>
/// The two-objective toy of the CAGrad and FAMO papers, first objective scaled by 0.1. Above x2 = 0 both are logarithms around
/// two valleys, below it two parabolas; tanh(x2/2) fades between. Minima: −2.1 and −21.
/// </summary>
internal static class Toy
{
    public static readonly double[] Minima = [-21 * 0.1, -21];

    public static (double[] Losses, Gradients Gradients) At(double x1, double x2)
    {
        double tanh = Math.Tanh(-x2), slope = 1 - tanh * tanh;
        var (f1, j1) = Valley(0.5 * (-x1 - 7) - tanh, slope);
        var (f2, j2) = Valley(0.5 * (-x1 + 3) + tanh + 2, -slope);
        double fade = Math.Tanh(0.5 * x2), fadeSlope = 0.5 * (1 - fade * fade);
        double bowl = 0.1 * (x2 + 8) * (x2 + 8);
        double q1 = ((x1 - 7) * (x1 - 7) + bowl) / 10 - 20, q2 = ((x1 + 7) * (x1 + 7) + bowl) / 10 - 20;
        double[] dq1 = [-2 * (7 - x1) / 10, -0.2 * (-x2 - 8) / 10], dq2 = [-2 * (-x1 - 7) / 10, -0.2 * (-x2 - 8) / 10];
        var (l1, g1) = Blend(f1, j1, q1, dq1);
        var (l2, g2) = Blend(f2, j2, q2, dq2);
        return ([0.1 * l1, l2], new Gradients([.. g1.Select(x => 0.1 * x)], g2));

        (double, double[]) Blend(double f, double[] j, double q, double[] dq) => fade > 0
            ? (f * fade, [j[0] * fade, j[1] * fade + f * fadeSlope])
            : (-q * fade, [-dq[0] * fade, -dq[1] * fade - q * fadeSlope]);

        static (double F, double[] J) Valley(double u, double slope) => Math.Abs(u) > 5e-6
            ? (Math.Log(Math.Abs(u)) + 6, [-0.5 / u, slope / u])
            : (Math.Log(5e-6) + 6, [0, 0]);
    }
}
