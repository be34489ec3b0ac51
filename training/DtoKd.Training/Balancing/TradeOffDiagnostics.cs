namespace DtoKd.Training.Balancing;

// The two troubles the paper names (§3.1), and what the step made of them:
//   GrC  conflict     ⟨∇L_i, ∇L_j⟩ < 0 for some pair
//   GrD  dominance    ‖∇L_k‖ / ‖∇L_task‖ far from 1
//   ‖g*‖² = Σ_ij coefficient_i coefficient_j ⟨∇L_i, ∇L_j⟩

/// <summary>
/// What one step looked like to the balancer: losses, weights and, when the Gram matrix was computed, the geometry of the
/// gradients over the shared parameters. A number that does not exist (cosine with a zero gradient, geometry without a Gram
/// matrix) is NaN.
/// </summary>
public sealed record TradeOffDiagnostics
{
    private readonly double[] _cosine;

    private TradeOffDiagnostics(double[] cosine) => _cosine = cosine;

    /// <summary>Index of the task's loss.</summary>
    public required int Task { get; init; }

    /// <summary>[K] losses before the step.</summary>
    public required IReadOnlyList<double> Losses { get; init; }

    /// <summary>[K] the weights π as the rule states them.</summary>
    public required IReadOnlyList<double> Pi { get; init; }

    /// <summary>[K] what multiplied each raw gradient.</summary>
    public required IReadOnlyList<double> Coefficients { get; init; }

    /// <summary>Whether the Gram matrix was known; without it ratios, cosines, conflict and norm are NaN or null.</summary>
    public required bool HasGram { get; init; }

    /// <summary>[K] ‖∇L_k‖/‖∇L_task‖ of the raw gradients: the paper's dominance.</summary>
    public required IReadOnlyList<double> NormRatio { get; init; }

    /// <summary>[K] ‖∇log L_k‖/‖∇log L_task‖; NaN also where a loss is not positive.</summary>
    public required IReadOnlyList<double> LogNormRatio { get; init; }

    /// <summary>Whether some pair of gradients has a negative inner product; null without a Gram matrix.</summary>
    public required bool? Conflict { get; init; }

    /// <summary>‖g*‖ of the mixed gradient over the shared parameters, before clipping.</summary>
    public required double MixedNorm { get; init; }

    /// <summary>See <see cref="StepWeights.Clamped"/>.</summary>
    public required bool Clamped { get; init; }

    /// <summary>Indices of objectives left out of the step; see <see cref="StepWeights.Dropped"/>.</summary>
    public required IReadOnlyList<int> Dropped { get; init; }

    /// <summary>Indices of objectives whose loss the floor replaced; see <see cref="StepWeights.Floored"/>.</summary>
    public required IReadOnlyList<int> Floored { get; init; }

    /// <summary>The cosine between two objectives' gradients; the same for ∇L and ∇log L.</summary>
    /// <param name="i">An objective.</param>
    /// <param name="j">An objective.</param>
    /// <returns>In [−1, 1], or NaN.</returns>
    public double Cosine(int i, int j) => _cosine[i * Losses.Count + j];

    /// <summary>Measures one step.</summary>
    /// <param name="signals">What the balancer was given; the Gram matrix may be known although the rule did not need it.</param>
    /// <param name="weights">What it decided.</param>
    /// <param name="task">Index of the task's loss, the denominator of the ratios.</param>
    /// <returns>A record of copies, safe to keep.</returns>
    public static TradeOffDiagnostics Measure(in StepSignals signals, StepWeights weights, int task)
    {
        var losses = signals.Losses;
        var gram = signals.Gram;
        int n = losses.Length;
        ArgumentOutOfRangeException.ThrowIfNegative(task);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(task, n);
        var cosine = Unknown(n * n);
        var ratio = Unknown(n);
        var logRatio = Unknown(n);
        bool conflict = false;
        if (signals.HasGram)
        {
            double taskNorm = Math.Sqrt(gram[task * n + task]);
            for (int i = 0; i < n; i++)
            {
                double norm = Math.Sqrt(gram[i * n + i]);
                ratio[i] = taskNorm > 0 ? norm / taskNorm : double.NaN;
                logRatio[i] = losses[i] > 0 && losses[task] > 0 ? ratio[i] * losses[task] / losses[i] : double.NaN;
                for (int j = 0; j < n; j++)
                {
                    double product = norm * Math.Sqrt(gram[j * n + j]);
                    if (product > 0)
                        cosine[i * n + j] = Math.Clamp(gram[i * n + j] / product, -1, 1);
                    conflict |= i != j && gram[i * n + j] < 0;
                }
            }
        }
        return new TradeOffDiagnostics(cosine)
        {
            Task = task,
            Losses = losses.ToArray(),
            Pi = weights.Pi.ToArray(),
            Coefficients = weights.Coefficients.ToArray(),
            HasGram = signals.HasGram,
            NormRatio = ratio,
            LogNormRatio = logRatio,
            Conflict = signals.HasGram ? conflict : null,
            MixedNorm = signals.HasGram ? Math.Sqrt(MinNorm.SquaredNorm(gram, weights.Coefficients)) : double.NaN,
            Clamped = weights.Clamped,
            Dropped = Indices(weights.Dropped),
            Floored = Indices(weights.Floored),
        };
    }

    private static double[] Unknown(int count)
    {
        var values = new double[count];
        values.AsSpan().Fill(double.NaN);
        return values;
    }

    private static int[] Indices(ReadOnlySpan<bool> marks)
    {
        var indices = new List<int>();
        for (int k = 0; k < marks.Length; k++)
        {
            if (marks[k])
                indices.Add(k);
        }
        return [.. indices];
    }
}
