namespace DtoKd.Training.Verification;

// The two-objective toy of CAGrad and FAMO (B. Liu et al., NeurIPS 2021 and 2023), first objective scaled by s = 0.1:
//
//   f_i(x) = v_i(x) max(0, h) + q_i(x) max(0, −h),   h = tanh(x2/2)        above x2 = 0 two valleys, below it two bowls
//   v_1 = 6 + log max(|½(−x1 − 7) − tanh(−x2)|, 5e-6)
//   v_2 = 6 + log max(|½(−x1 + 3) + tanh(−x2) + 2|, 5e-6)
//   q_1 = ((x1 − 7)² + 0.1 (x2 + 8)²)/10 − 20,   q_2 = ((x1 + 7)² + 0.1 (x2 + 8)²)/10 − 20

/// <summary>
/// The two-objective toy problem of the CAGrad and FAMO papers: two variables, two objectives whose gradients conflict and differ
/// tenfold in size, and a line of best trade-offs with −7 ≤ x1 ≤ 7 and x2 a little below −8.
/// </summary>
public static class ToyProblem
{
    /// <summary>The factor of the first objective.</summary>
    public const double Scale = 0.1;

    /// <summary>The step size of Adam on x with which the papers run the toy.</summary>
    public const double LearningRate = 0.05;

    /// <summary>Added to f − minimum, so that logarithm and division are defined everywhere.</summary>
    public const double Shift = 1e-8;

    private const double Low = 5e-6;

    private static readonly double[] _minima = [-21 * Scale, -21];

    /// <summary>The five starting points (x1, x2).</summary>
    public static IReadOnlyList<(double X1, double X2)> Starts { get; } =
        [(-8.5, 7.5), (0.2, 0.3), (9, 9), (-7.5, -0.5), (9, -1)];

    /// <summary>[2] lower bounds of the objectives, which FAMO subtracts to get positive losses.</summary>
    public static IReadOnlyList<double> Minima => _minima;

    /// <summary>
    /// [101] points of the best trade-offs, from the first objective's best to the second's: the minima of
    /// α f_1/s + (1 − α) f_2 for α from 1 to 0.
    /// </summary>
    public static IReadOnlyList<(double X1, double X2)> Front { get; } =
        [.. Enumerable.Range(0, 101).Select(i => Best(1 - i / 100.0))];

    /// <summary>How far a point is from <see cref="Front"/>.</summary>
    /// <param name="x1">First variable.</param>
    /// <param name="x2">Second variable.</param>
    public static double DistanceToFront(double x1, double x2) =>
        Front.Min(best => Math.Sqrt((x1 - best.X1) * (x1 - best.X1) + (x2 - best.X2) * (x2 - best.X2)));

    /// <summary>The two objectives at a point.</summary>
    /// <param name="x1">First variable.</param>
    /// <param name="x2">Second variable.</param>
    /// <param name="f">[2], receives f_1 and f_2.</param>
    public static void Values(double x1, double x2, Span<double> f)
    {
        double t = Math.Tanh(-x2), fade = Math.Tanh(0.5 * x2);
        f[0] = Scale * (fade > 0 ? fade * Valley(0.5 * (-x1 - 7) - t) : -fade * Bowl(x1 - 7, x2));
        f[1] = fade > 0 ? fade * Valley(0.5 * (-x1 + 3) + t + 2) : -fade * Bowl(x1 + 7, x2);
    }

    /// <summary>The gradients of the two objectives at a point.</summary>
    /// <param name="x1">First variable.</param>
    /// <param name="x2">Second variable.</param>
    /// <param name="jacobian">[2, 2] row-major, receives ∂f_i/∂x_j.</param>
    public static void Jacobian(double x1, double x2, Span<double> jacobian)
    {
        double t = Math.Tanh(-x2), slope = 1 - t * t;
        Row(x1 - 7, x2, 0.5 * (-x1 - 7) - t, slope, Scale, jacobian[..2]);
        Row(x1 + 7, x2, 0.5 * (-x1 + 3) + t + 2, -slope, 1, jacobian[2..4]);
    }

    /// <summary>The positive losses f − minimum + <see cref="Shift"/>, as rules that take logarithms want them.</summary>
    /// <param name="x1">First variable.</param>
    /// <param name="x2">Second variable.</param>
    /// <param name="losses">[2], receives the losses.</param>
    public static void Losses(double x1, double x2, Span<double> losses)
    {
        Values(x1, x2, losses);
        for (int i = 0; i < 2; i++)
            losses[i] = losses[i] - _minima[i] + Shift;
    }

    /// <summary>
    /// The minimum of α q_1 + (1 − α) q_2, faded: x1 = 7(2α − 1), and x2 a little below −8, where the fade still grows.
    /// </summary>
    private static (double X1, double X2) Best(double alpha)
    {
        double x1 = 7 * (2 * alpha - 1), low = -12, high = -8;
        while (high - low > 1e-12)
        {
            double x2 = 0.5 * (low + high), fade = Math.Tanh(0.5 * x2);
            double bowl = alpha * Bowl(x1 - 7, x2) + (1 - alpha) * Bowl(x1 + 7, x2);
            double slope = -0.5 * (1 - fade * fade) * bowl - fade * 0.02 * (x2 + 8);
            (low, high) = slope > 0 ? (low, x2) : (x2, high);
        }
        return (x1, low);
    }

    private static double Valley(double u) => Math.Log(Math.Max(Math.Abs(u), Low)) + 6;

    private static double Bowl(double offset, double x2) => (offset * offset + 0.1 * (x2 + 8) * (x2 + 8)) / 10 - 20;

    private static void Row(double offset, double x2, double u, double slope, double scale, Span<double> row)
    {
        double fade = Math.Tanh(0.5 * x2), fadeSlope = 0.5 * (1 - fade * fade);
        if (fade > 0)
        {
            bool flat = Math.Abs(u) <= Low;
            row[0] = scale * (flat ? 0 : -0.5 / u * fade);
            row[1] = scale * ((flat ? 0 : slope / u * fade) + Valley(u) * fadeSlope);
            return;
        }
        // Where h = 0 both parts vanish and so do, by the papers' clamped h, their slopes.
        row[0] = scale * (-0.2 * offset * fade);
        row[1] = fade < 0 ? scale * (-0.02 * (x2 + 8) * fade - Bowl(offset, x2) * fadeSlope) : 0;
    }
}
