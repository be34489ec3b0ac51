using static System.Math;

namespace DtoKd.Training.Verification;

// a = ‖g1‖², b = ‖g2‖², c = ⟨g1, g2⟩, D = a + b − 2c, m = min ‖g_i‖, M = max ‖g_i‖, φ = ∠(g1, g2), g* = π1 g1 + π2 g2.
//
// Margins are relative to what rounding is relative to: norms to m, since ‖π_i g_i‖ ≤ m; inner products with g_i to m‖g_i‖.

/// <summary>
/// What DTO-KD (§3.2, Theorem 3.1, Corollaries 3.2-3.5) says of two objectives, each with the domain on which it is true of the
/// simplex solution, and what is true in its place where it is too strong as printed.
/// </summary>
public static class PaperClaims
{
    // Beyond it the sign of a number that should be small and positive is rounding.
    private const double LeastHalfAngle = 1e-3, LargestRatio = 1e4;

    /// <summary>All of them, in the paper's order.</summary>
    public static IReadOnlyList<PairClaim> All { get; } =
    [
        new()
        {
            Name = "dual",
            Statement = "max_g min_i ⟨g_i, g⟩ − ½‖g‖² = min_π ½‖Jπ‖², reached at g* = Jπ* (Stage 2 to first order, and its dual, eq. 9)",
            Domain = "everywhere",
            Printed = true,
            Holds = static f => f.BothNonZero,
            Margin = DualGap,
        },
        new()
        {
            Name = "Theorem 3.1",
            Statement = "π1 = (b − c)/D and π2 = (a − c)/D are weights on the simplex and minimise ½‖Jπ‖²",
            Domain = "c ≤ min(a, b), g1 ≠ g2",
            Printed = true,
            Holds = static f => f.BothNonZero && f.Unclamped && f.D > 0,
            Margin = ClosedForm,
            CounterExample = new([1, 0], [3, 1]),
        },
        new()
        {
            Name = "Theorem 3.1, clamped",
            Statement = "π ≥ 0, π1 + π2 = 1, ⟨g*, g_i⟩ ≥ ‖g*‖² for both i: π minimises ½‖Jπ‖² over the simplex",
            Domain = "everywhere",
            Holds = static f => f.BothNonZero,
            Margin = Optimality,
        },
        new()
        {
            Name = "3.2 alignment",
            Statement = "⟨g*, g_i⟩ > 0 for both i",
            Domain = "0 ∉ conv{g1, g2}; tried where cos(φ/2) ≥ 1e-3 and M/m ≤ 1e4",
            Printed = true,
            Holds = static f => f.BothNonZero && f.HalfAngleCosine >= LeastHalfAngle && f.Longer <= LargestRatio * f.Shorter,
            // Strict: what is asked for lies far above rounding on the whole domain.
            Margin = static f => Alignment(f) - 1e-12,
            Tolerance = 0,
            CounterExample = new([1], [-1]),
        },
        new()
        {
            Name = "3.2, converse",
            Statement = "g* = 0",
            Domain = "0 ∈ conv{g1, g2}: g1, g2 opposed, or one of them 0",
            Holds = static f => (f.A > 0 || f.B > 0) && f.HalfAngleCosine <= 1e-15,
            Margin = static f => -f.Norm / f.Longer,
            CounterExample = new([1], [1]),
        },
        new()
        {
            Name = "3.3 equal contribution",
            Statement = "⟨g*, g1⟩ = ⟨g*, g2⟩ = ‖g*‖²",
            Domain = "c ≤ min(a, b)",
            Printed = true,
            Holds = static f => f.BothNonZero && f.Unclamped,
            Margin = EqualContribution,
            CounterExample = new([1], [2]),
        },
        new()
        {
            Name = "3.3, otherwise",
            Statement = "g* is the shorter gradient; the contributions are min(a, b) and c, and differ",
            Domain = "c > min(a, b)",
            Holds = static f => f.BothNonZero && !f.Unclamped,
            Margin = Dominated,
            CounterExample = new([1, 0], [0, 1]),
        },
        new()
        {
            Name = "3.4 lower bound",
            Statement = "‖g*‖ ≥ m/√2",
            Domain = "c ≥ (p − √(p(2P − p)))/2, p = m², P = M²; so for every c ≥ 0",
            Printed = true,
            Holds = static f => f.BothNonZero && f.C >= f.HalfNormBorder,
            Margin = static f => f.Norm / f.Shorter - Sqrt(0.5),
            CounterExample = new([1], [-1]),
        },
        new()
        {
            Name = "3.4, otherwise",
            Statement = "‖g*‖ < m/√2",
            Domain = "c < (p − √(p(2P − p)))/2",
            Holds = static f => f.BothNonZero && f.C < f.HalfNormBorder,
            Margin = static f => Sqrt(0.5) - f.Norm / f.Shorter,
            CounterExample = new([1], [1]),
        },
        new()
        {
            Name = "3.5 upper bound",
            Statement = "‖g*‖ ≤ ‖g1‖‖g2‖/(‖g1‖ − ‖g2‖)",
            Domain = "‖g1‖ > ‖g2‖",
            Printed = true,
            Holds = static f => f.BothNonZero && f.A > f.B,
            // Without the division: of the sign that dividing by ‖g1‖ − ‖g2‖ gives the right side.
            Margin = static f => f.A > f.B
                ? 1 - f.Norm / f.Shorter * ((f.Longer - f.Shorter) / f.Longer)
                : f.A < f.B ? -1 : double.PositiveInfinity,
            CounterExample = new([1], [2]),
        },
        new()
        {
            Name = "3.5, absolute value",
            Statement = "‖g*‖ ≤ m ≤ ‖g1‖‖g2‖/|‖g1‖ − ‖g2‖|",
            Domain = "‖g1‖ ≠ ‖g2‖",
            Holds = static f => f.BothNonZero && f.A != f.B,
            // The second inequality divided by m: 1 ≤ M/(M − m).
            Margin = static f => Min(1 - f.Norm / f.Shorter, f.Longer / (f.Longer - f.Shorter) - 1),
        },
        new()
        {
            Name = "two-sided bound",
            Statement = "m cos(φ/2) ≤ ‖g*‖ ≤ m",
            Domain = "everywhere",
            Holds = static f => f.BothNonZero,
            Margin = static f => Min(f.Norm / f.Shorter - f.HalfAngleCosine, 1 - f.Norm / f.Shorter),
        },
        new()
        {
            Name = "two-sided bound, tight",
            Statement = "‖g*‖ = m cos(φ/2)",
            Domain = "‖g1‖ = ‖g2‖",
            Holds = static f => f.BothNonZero && f.Longer - f.Shorter <= 1e-14 * f.Longer,
            Margin = static f => -Abs(f.Norm / f.Shorter - f.HalfAngleCosine),
            CounterExample = new([1, 0], [0, 2]),
        },
    ];

    /// <summary>Zero gap at g*, and no other g does better: three are tried.</summary>
    private static double DualGap(PairFacts f)
    {
        double size = f.Shorter * f.Longer, half = 0.5 * f.Norm * f.Norm;
        double worst = -Abs(Min(f.Dot1, f.Dot2) - 2 * half) / size;
        double n1 = Sqrt(f.A), n2 = Sqrt(f.B);
        worst = Min(worst, Excess(f, half, 0.5, 0.5));
        worst = Min(worst, Excess(f, half, 0.5 * f.Shorter / n1, 0.5 * f.Shorter / n2));
        return Min(worst, Excess(f, half, 1.5 * f.Pi1, 1.5 * f.Pi2));
    }

    /// <summary>½‖g*‖² less what g = s1 g1 + s2 g2 reaches.</summary>
    private static double Excess(in PairFacts f, double half, double s1, double s2)
    {
        double dot1 = s1 * f.A + s2 * f.C, dot2 = s1 * f.C + s2 * f.B, square = s1 * dot1 + s2 * dot2;
        double size = f.Shorter * f.Shorter + Abs(s1) * f.A + Abs(s2) * f.B + (Abs(s1) + Abs(s2)) * Abs(f.C);
        return (half - (Min(dot1, dot2) - 0.5 * square)) / size;
    }

    /// <summary>The printed formula, multiplied by D: equal to the product's weight of the longer gradient, and not negative.</summary>
    private static double ClosedForm(PairFacts f)
    {
        bool firstLonger = f.A >= f.B;
        double longer = firstLonger ? f.Pi1 : f.Pi2, numerator = Min(f.A, f.B) - f.C;
        double size = f.Shorter * f.Longer;
        return Min(-Abs(longer * f.D - numerator) / size, numerator / size) - Abs(f.Pi1 + f.Pi2 - 1);
    }

    private static double Optimality(PairFacts f)
    {
        double square = f.Norm * f.Norm;
        double kkt = Min(
            (f.Dot1 - square) / (f.Shorter * Sqrt(f.A)), (f.Dot2 - square) / (f.Shorter * Sqrt(f.B)));
        return Min(kkt, Min(f.Pi1, f.Pi2)) - Abs(f.Pi1 + f.Pi2 - 1);
    }

    private static double Alignment(PairFacts f) =>
        Min(f.Dot1 / (f.Shorter * Sqrt(f.A)), f.Dot2 / (f.Shorter * Sqrt(f.B)));

    private static double EqualContribution(PairFacts f)
    {
        double square = f.Norm * f.Norm, size = f.Shorter * f.Longer;
        return -Max(Abs(f.Dot1 - f.Dot2), Max(Abs(f.Dot1 - square), Abs(f.Dot2 - square))) / size;
    }

    private static double Dominated(PairFacts f)
    {
        double shorter = Min(f.A, f.B), own = f.A <= f.B ? f.Dot1 : f.Dot2, other = f.A <= f.B ? f.Dot2 : f.Dot1;
        return -Max(Abs(own - shorter) / shorter, Abs(other - f.C) / (f.Shorter * f.Longer));
    }
}
