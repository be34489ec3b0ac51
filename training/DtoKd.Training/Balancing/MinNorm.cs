namespace DtoKd.Training.Balancing;

// π* ∈ argmin ½‖Jπ‖² over the simplex Δ = {π ≥ 0, Σπ = 1}                                    (DTO-KD, eq. 9)
//
//   J = [g_1 … g_K]   the gradients, one column per objective; only their Gram matrix is ever needed
//   G = JᵀJ           G_ij = ⟨g_i, g_j⟩
//   g* = Jπ*          the point of the gradients' convex hull nearest to 0;  v = ‖g*‖² = π*ᵀGπ*
//
// π is optimal exactly when (Gπ)_k ≥ v for every k (KKT). The paper's closed form (Theorem 3.1, eq. 10) keeps Σπ = 1 but not
// π ≥ 0; for two objectives the simplex solution is that formula clamped, for more it is not.
//
// Every affine problem below is posed in the differences from the shortest gradient of its set. The weight of that one is then
// 1 − Σ(others), whose rounding error moves g* by a rounding error of the smallest norm, while a long gradient's small weight
// comes out of a division and keeps its relative accuracy. Posed the other way round, norms 10¹⁰ apart lose every digit of g*.

/// <summary>
/// The weights on the simplex whose mixture of gradients is shortest, from the Gram matrix of the gradients
/// (DTO-KD, eq. 9; for two objectives Theorem 3.1 clamped to the simplex).
/// </summary>
/// <remarks>
/// Exact for one, two and three objectives by formula; from four on by Wolfe's active-set method (P. Wolfe, "Finding the nearest
/// point in a polytope", 1976). Up to <see cref="StackObjectives"/> objectives nothing is allocated. The weights do not change
/// when the whole Gram matrix is scaled by a power of two, and by no more than rounding for any other positive factor.
/// </remarks>
public static class MinNorm
{
    /// <summary>Up to this many objectives the workspace is on the stack.</summary>
    public const int StackObjectives = 16;

    // The share of ‖g_k‖·Σπ_j‖g_j‖ by which ⟨g*, g_k⟩ may fall short of v: a few hundred rounding errors of that product.
    private const double Tolerance = 1e-13;

    // A square that changed by less than this share has not changed: then the KKT violation must shrink instead.
    private const double Progress = 1e-13;

    // A pivot below this share of its diagonal entry is rounding noise: the differences are linearly dependent.
    private const double PivotShare = 1e-14;

    /// <summary>Finds the weights of the shortest mixture.</summary>
    /// <param name="gram">[K, K] row-major, symmetric: ⟨g_i, g_j⟩ in the gradients' unit squared.</param>
    /// <param name="weights">[K], receives π: each ≥ 0, sum 1 to rounding. Where several are optimal (equal or
    /// dependent gradients) one of them; equal gradients share evenly.</param>
    /// <returns>v = ‖g*‖², in the Gram matrix's unit.</returns>
    /// <exception cref="ArgumentException">Sizes do not fit, an entry is not finite, or the diagonal is negative.</exception>
    public static double Solve(ReadOnlySpan<double> gram, Span<double> weights)
    {
        int n = weights.Length;
        CheckGram(gram, n);
        double largest = 0;
        for (int i = 0; i < n; i++)
            largest = Math.Max(largest, gram[i * n + i]);
        if (largest == 0)
        {
            weights.Fill(1.0 / n);
            return 0;
        }

        // A power of two scales without rounding, so the weights do not depend on the unit of the gradients.
        int exponent = Math.ILogB(largest);
        Span<double> scaled = n <= StackObjectives ? stackalloc double[n * n] : new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                scaled[i * n + j] = 0.5 * (Math.ScaleB(gram[i * n + j], -exponent) + Math.ScaleB(gram[j * n + i], -exponent));
        }

        switch (n)
        {
            case 1:
                weights[0] = 1;
                break;
            case 2:
                (weights[0], weights[1]) = Pair(scaled[0], scaled[1], scaled[3]);
                break;
            case 3:
                SolveThree(scaled, weights);
                break;
            default:
                SolveActiveSet(scaled, weights);
                break;
        }
        return Math.ScaleB(SquaredNorm(scaled, weights), exponent);
    }

    /// <summary>v = πᵀGπ, the squared norm of the mixture that <paramref name="weights"/> give.</summary>
    /// <param name="gram">[K, K] row-major.</param>
    /// <param name="weights">[K], any real numbers.</param>
    /// <returns>The squared norm, never below 0.</returns>
    public static double SquaredNorm(ReadOnlySpan<double> gram, ReadOnlySpan<double> weights)
    {
        double v = 0;
        for (int i = 0; i < weights.Length; i++)
            v += weights[i] == 0 ? 0 : weights[i] * RowDot(gram, weights, i);
        return Math.Max(0, v);
    }

    /// <summary>
    /// How far weights on the simplex are from optimal: max over k of v − (Gπ)_k, which is 0 exactly at the optimum and positive
    /// elsewhere. It bounds the excess: ½(v − v*) ≤ residual.
    /// </summary>
    /// <param name="gram">[K, K] row-major.</param>
    /// <param name="weights">[K] on the simplex.</param>
    /// <returns>The residual, in the Gram matrix's unit; never below 0.</returns>
    public static double KktResidual(ReadOnlySpan<double> gram, ReadOnlySpan<double> weights)
    {
        double v = SquaredNorm(gram, weights), worst = 0;
        for (int k = 0; k < weights.Length; k++)
            worst = Math.Max(worst, v - RowDot(gram, weights, k));
        return worst;
    }

    /// <summary>
    /// Theorem 3.1 on the simplex. π1 = (b − c)/D, π2 = (a − c)/D with D = a + b − 2c = ‖g1 − g2‖², clamped.
    /// </summary>
    /// <param name="a">‖g1‖².</param>
    /// <param name="c">⟨g1, g2⟩.</param>
    /// <param name="b">‖g2‖².</param>
    internal static (double First, double Second) Pair(double a, double c, double b)
    {
        double p = b - c, q = a - c;
        if (p <= 0 && q <= 0)
            return (0.5, 0.5); // only when g1 = g2: D = 0 and every mixture is the same
        if (q <= 0)
            return (1, 0);
        if (p <= 0)
            return (0, 1);
        // D as a sum of two positive numbers cancels nothing, unlike a + b − 2c.
        return (p / (p + q), q / (p + q));
    }

    /// <summary>Three objectives: the inside of the triangle by Cramer's rule, or the best of its three edges.</summary>
    internal static void SolveThree(ReadOnlySpan<double> gram, Span<double> weights)
    {
        if (AllEqual(gram))
        {
            weights.Fill(1.0 / 3);
            return;
        }
        int r = Shortest(gram, 3), i = (r + 1) % 3, j = (r + 2) % 3;
        double grr = gram[r * 4];
        // The differences d_i = g_i − g_r and d_j: their Gram matrix, and −⟨d, g_r⟩ on the right.
        double dii = gram[i * 4] - gram[i * 3 + r] - (gram[i * 3 + r] - grr);
        double djj = gram[j * 4] - gram[j * 3 + r] - (gram[j * 3 + r] - grr);
        double dij = gram[i * 3 + j] - gram[i * 3 + r] - (gram[j * 3 + r] - grr);
        double ri = grr - gram[i * 3 + r], rj = grr - gram[j * 3 + r];

        double best = double.PositiveInfinity;
        Span<double> candidate = stackalloc double[3];
        double det = dii * djj - dij * dij;
        double x = (ri * djj - rj * dij) / det, y = (rj * dii - ri * dij) / det;
        if (det > 0 && x >= 0 && y >= 0 && x + y <= 1)
        {
            (candidate[i], candidate[j], candidate[r]) = (x, y, 1 - x - y);
            Keep(gram, candidate, weights, ref best);
            // A stationary point inside is the minimum. Only if cancellation spoilt it are the edges worth comparing; their
            // squares can tie with it to the last digit while they leave out a long gradient's tiny weight.
            if (det > 1e-10 * dii * djj)
                return;
        }
        for (int skip = 0; skip < 3; skip++)
        {
            int p = skip == 0 ? 1 : 0, q = skip == 2 ? 1 : 2;
            candidate.Clear();
            (candidate[p], candidate[q]) = Pair(gram[p * 4], gram[p * 3 + q], gram[q * 4]);
            Keep(gram, candidate, weights, ref best);
        }
    }

    /// <summary>
    /// Wolfe's method for any number of objectives: a corral of gradients that carry weight grows by the one that shortens the
    /// mixture most, and loses those whose weight reaches 0 on the way to the affine minimum of the corral.
    /// </summary>
    internal static void SolveActiveSet(ReadOnlySpan<double> gram, Span<double> weights)
    {
        int n = weights.Length;
        if (AllEqual(gram))
        {
            weights.Fill(1.0 / n);
            return;
        }
        bool small = n <= StackObjectives;
        Span<int> corral = small ? stackalloc int[n] : new int[n];
        Span<double> affine = small ? stackalloc double[n] : new double[n];
        Span<double> next = small ? stackalloc double[n] : new double[n];
        Span<double> system = small ? stackalloc double[n * n] : new double[n * n];

        weights.Clear();
        corral[0] = Shortest(gram, n);
        weights[corral[0]] = 1;
        int size = 1;
        double v = SquaredNorm(gram, weights);
        var (add, gain) = MostViolated(gram, weights, v);
        // Each round strictly shortens the mixture and no corral comes twice; the bound is for rounding, not for mathematics.
        for (int round = 0; add >= 0 && round < 16 * n; round++)
        {
            if (corral[..size].Contains(add))
                break;
            corral[size++] = add;
            weights.CopyTo(next);
            while (true)
            {
                AffineMinimum(gram, n, corral[..size], affine, system);
                double step = 1;
                int leaves = -1;
                for (int s = 0; s < size; s++)
                {
                    if (affine[s] > 0)
                        continue;
                    double from = next[corral[s]], reach = from / (from - affine[s]);
                    if (leaves < 0 || reach < step)
                        (step, leaves) = (double.IsNaN(reach) ? 0 : reach, s);
                }
                for (int s = 0; s < size; s++)
                {
                    double from = next[corral[s]];
                    next[corral[s]] = leaves < 0 ? affine[s] : Math.Max(0, from + step * (affine[s] - from));
                }
                if (leaves < 0)
                    break;
                next[corral[leaves]] = 0;
                corral[(leaves + 1)..size].CopyTo(corral[leaves..]);
                if (--size == 1)
                {
                    next[corral[0]] = 1;
                    break;
                }
            }
            double shorter = SquaredNorm(gram, next);
            var (addNext, gainNext) = MostViolated(gram, next, shorter);
            if (!(shorter < v * (1 - Progress) || (shorter <= v * (1 + Progress) && gainNext < gain)))
                break; // what is left to gain is below rounding; the previous weights stand
            next.CopyTo(weights);
            (v, add, gain) = (shorter, addNext, gainNext);
        }
        if (add >= 0 && MostViolated(gram, weights, v, 1e4 * Tolerance).Index >= 0)
            FrankWolfe(gram, weights, 1000);
    }

    /// <summary>
    /// Frank-Wolfe from the weights given, each step with the exact line search (the two-objective rule between the mixture and
    /// the gradient that opposes it most). Slow near the optimum; only for a corral that rounding has spoilt.
    /// </summary>
    internal static void FrankWolfe(ReadOnlySpan<double> gram, Span<double> weights, int rounds)
    {
        int n = weights.Length;
        for (int round = 0; round < rounds; round++)
        {
            double v = SquaredNorm(gram, weights);
            int t = MostViolated(gram, weights, v).Index;
            if (t < 0)
                return;
            double share = Pair(v, RowDot(gram, weights, t), gram[t * n + t]).Second;
            for (int k = 0; k < n; k++)
                weights[k] *= 1 - share;
            weights[t] += share;
        }
    }

    /// <summary>
    /// The minimum of ‖Σ y_s g_s‖ over Σy = 1 within a corral, by Cholesky in the differences from its shortest gradient.
    /// </summary>
    private static void AffineMinimum(ReadOnlySpan<double> gram, int n, ReadOnlySpan<int> corral, Span<double> y, Span<double> h)
    {
        int size = corral.Length, anchor = 0;
        for (int s = 1; s < size; s++)
        {
            if (gram[corral[s] * n + corral[s]] < gram[corral[anchor] * n + corral[anchor]])
                anchor = s;
        }
        int r = corral[anchor];
        double grr = gram[r * n + r];
        // Rows and columns of the anchor are left out by walking over them.
        for (int s = 0; s < size; s++)
        {
            if (s == anchor)
                continue;
            int i = corral[s];
            y[s] = grr - gram[i * n + r];
            for (int t = 0; t <= s; t++)
            {
                if (t == anchor)
                    continue;
                int j = corral[t];
                double sum = gram[i * n + j] - gram[i * n + r] - (gram[j * n + r] - grr), diagonal = sum;
                for (int u = 0; u < t; u++)
                {
                    if (u != anchor)
                        sum -= h[s * n + u] * h[t * n + u];
                }
                // A vanished pivot is lifted to noise level: the step then runs far along the flat direction, to the boundary.
                h[s * n + t] = s == t
                    ? Math.Sqrt(Math.Max(sum, Math.Max(PivotShare * Math.Abs(diagonal), double.Epsilon)))
                    : sum / h[t * n + t];
            }
            for (int u = 0; u < s; u++)
            {
                if (u != anchor)
                    y[s] -= h[s * n + u] * y[u];
            }
            y[s] /= h[s * n + s];
        }
        double rest = 1;
        for (int s = size - 1; s >= 0; s--)
        {
            if (s == anchor)
                continue;
            for (int u = s + 1; u < size; u++)
            {
                if (u != anchor)
                    y[s] -= h[u * n + s] * y[u];
            }
            y[s] /= h[s * n + s];
            rest -= y[s];
        }
        y[anchor] = rest;
    }

    /// <summary>
    /// The gradient that breaks ⟨g*, g_k⟩ ≥ v and shortens the mixture most when mixed in: largest (v − ⟨g*, g_k⟩)/‖g_k − g*‖;
    /// −1 and 0 when none breaks it by more than rounding.
    /// </summary>
    private static (int Index, double Gain) MostViolated(
        ReadOnlySpan<double> gram, ReadOnlySpan<double> weights, double v, double tolerance = Tolerance)
    {
        int n = weights.Length, worst = -1;
        double most = 0, reach = 0;
        for (int k = 0; k < n; k++)
            reach += weights[k] * Math.Sqrt(gram[k * n + k]);
        for (int k = 0; k < n; k++)
        {
            double along = RowDot(gram, weights, k), gap = v - along;
            double distance = gram[k * n + k] - along + gap;
            if (gap <= tolerance * reach * Math.Sqrt(gram[k * n + k]) || distance <= 0)
                continue;
            double gain = gap / Math.Sqrt(distance);
            if (gain > most)
                (most, worst) = (gain, k);
        }
        return (worst, most);
    }

    private static void Keep(ReadOnlySpan<double> gram, ReadOnlySpan<double> candidate, Span<double> weights, ref double best)
    {
        double v = SquaredNorm(gram, candidate);
        if (v >= best)
            return;
        best = v;
        candidate.CopyTo(weights);
    }

    private static int Shortest(ReadOnlySpan<double> gram, int n)
    {
        int shortest = 0;
        for (int k = 1; k < n; k++)
        {
            if (gram[k * n + k] < gram[shortest * n + shortest])
                shortest = k;
        }
        return shortest;
    }

    private static bool AllEqual(ReadOnlySpan<double> gram)
    {
        foreach (double entry in gram)
        {
            if (Math.Abs(entry - gram[0]) > 4e-16 * gram[0])
                return false;
        }
        return true;
    }

    private static double RowDot(ReadOnlySpan<double> gram, ReadOnlySpan<double> weights, int row)
    {
        int n = weights.Length;
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += weights[j] == 0 ? 0 : gram[row * n + j] * weights[j];
        return sum;
    }

    private static void CheckGram(ReadOnlySpan<double> gram, int n)
    {
        if (n == 0)
            throw new ArgumentException("the minimum-norm weights need at least one objective", nameof(gram));
        if (gram.Length != n * n)
        {
            throw new ArgumentException(
                $"a Gram matrix of {n} objectives has {n * n} entries, this one has {gram.Length}", nameof(gram));
        }
        for (int i = 0; i < gram.Length; i++)
        {
            if (!double.IsFinite(gram[i]))
            {
                throw new ArgumentException(
                    $"Gram entry ({i / n}, {i % n}) is {gram[i]}: a gradient is not finite or overflows squared", nameof(gram));
            }
            if (i % (n + 1) == 0 && gram[i] < 0)
            {
                throw new ArgumentException(
                    $"Gram entry ({i / n}, {i / n}) is {gram[i]}: a squared norm cannot be negative", nameof(gram));
            }
        }
    }
}
