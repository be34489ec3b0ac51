using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>One point of a toy trajectory: where it is and what the balancer made of it.</summary>
/// <param name="X1">First variable.</param>
/// <param name="X2">Second variable.</param>
/// <param name="F1">First objective.</param>
/// <param name="F2">Second objective.</param>
/// <param name="Pi1">First weight, as the rule states it.</param>
/// <param name="Pi2">Second weight.</param>
/// <param name="G1">First component of the mixed gradient, before clipping.</param>
/// <param name="G2">Second component.</param>
public readonly record struct ToyPoint(
    double X1, double X2, double F1, double F2, double Pi1, double Pi2, double G1, double G2);

/// <summary>Runs a balancer on <see cref="ToyProblem"/> with Adam on x, as the FAMO paper does.</summary>
public static class ToyRun
{
    private const double Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8;

    /// <summary>The norm to which a rule's mixture is clipped before the step.</summary>
    /// <param name="rule">The rule.</param>
    /// <returns>1 for the rules learned along the way, as FAMO's authors have it; null, no clipping, for the others.</returns>
    public static double? ClipNormOf(Balancer rule) => rule is DtoAmortised or Famo ? 1 : null;

    /// <summary>Follows one trajectory. The rule is shown the positive losses and the Gram matrix of every step.</summary>
    /// <param name="rule">A fresh balancer of two objectives.</param>
    /// <param name="start">One of <see cref="ToyProblem.Starts"/>, or another point.</param>
    /// <param name="steps">Number of points recorded, at least 1; there is a step between each two.</param>
    /// <returns>[steps] points, the start first.</returns>
    /// <exception cref="ArgumentException">The rule weighs another number of objectives, or no point is asked for.</exception>
    public static ToyPoint[] Follow(Balancer rule, (double X1, double X2) start, int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        if (rule.Objectives != 2)
            throw new ArgumentException($"the toy has 2 objectives, balancer '{rule.Name}' weighs {rule.Objectives}");
        var points = new ToyPoint[steps];
        double? clip = ClipNormOf(rule);
        Span<double> f = stackalloc double[2], losses = stackalloc double[2], j = stackalloc double[4];
        Span<double> gram = stackalloc double[4], x = [start.X1, start.X2], g = stackalloc double[2];
        Span<double> m = stackalloc double[2], v = stackalloc double[2];
        for (int t = 1; t <= steps; t++)
        {
            ToyProblem.Losses(x[0], x[1], losses);
            if (t > 1)
                rule.AfterStep(losses);
            ToyProblem.Values(x[0], x[1], f);
            ToyProblem.Jacobian(x[0], x[1], j);
            gram[0] = j[0] * j[0] + j[1] * j[1];
            gram[1] = gram[2] = j[0] * j[2] + j[1] * j[3];
            gram[3] = j[2] * j[2] + j[3] * j[3];
            var weights = rule.Weigh(new StepSignals(losses, gram));
            for (int i = 0; i < 2; i++)
                g[i] = weights.Coefficients[0] * j[i] + weights.Coefficients[1] * j[2 + i];
            points[t - 1] = new ToyPoint(x[0], x[1], f[0], f[1], weights.Pi[0], weights.Pi[1], g[0], g[1]);

            double norm = Math.Sqrt(g[0] * g[0] + g[1] * g[1]);
            double share = clip is { } limit ? Math.Min(1, limit / (norm + 1e-6)) : 1;
            for (int i = 0; i < 2; i++)
            {
                double d = share * g[i];
                m[i] = Beta1 * m[i] + (1 - Beta1) * d;
                v[i] = Beta2 * v[i] + (1 - Beta2) * d * d;
                double bias1 = 1 - Math.Pow(Beta1, t), bias2 = 1 - Math.Pow(Beta2, t);
                x[i] -= ToyProblem.LearningRate / bias1 * m[i] / (Math.Sqrt(v[i] / bias2) + Epsilon);
            }
        }
        return points;
    }
}
