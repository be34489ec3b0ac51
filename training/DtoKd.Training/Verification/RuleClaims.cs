using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>
/// What is said of the balancing rules rather than of one pair of gradients: what they are invariant to, how they meet the
/// border of the simplex, and where the readings of Algorithm 1 end. Tried on the rules of <see cref="BalancerRegistry"/>.
/// </summary>
internal static class RuleClaims
{
    // Of the gradients that are drawn.
    private const int Length = 8;

    // A case here is a whole sequence of steps, or several solutions: so many times fewer than claims on one pair have.
    private const int FewerThanPairs = 50;
    private const int FewestCases = 20;

    /// <summary>A claim and how it is tried.</summary>
    /// <param name="Name">What the table calls it.</param>
    /// <param name="Statement">What is claimed.</param>
    /// <param name="Domain">Where.</param>
    /// <param name="Tolerance">By how much rounding may miss it.</param>
    /// <param name="Try">Draws a case and gives its margin, negative where the claim fails; null outside of the domain.</param>
    /// <param name="Fewer">How many times fewer cases than the other claims it takes, being slow.</param>
    private sealed record RuleClaim(
        string Name, string Statement, string Domain, double Tolerance, Func<CaseRandom, double?> Try, int Fewer = 1);

    private static readonly RuleClaim[] _all =
    [
        new("Gram matrix", "⟨g_i, g_j⟩ over the parameters in use, as a training step sums it, is the sum in double precision",
            "K = 1 .. 4 in float32, up to 5000 parameters in two ranges", 1e-12, GramMatrix, 10),
        new("first order", "after θ − ηg* each log L_i is lower by η⟨g*, g_i⟩ ≥ η‖g*‖², up to the curvature",
            "the toy of two objectives, η‖g*‖ = 1e-6, away from its kinks", 1e-3, FirstOrder),
        new("exact = MGDA on log L", "π is MGDA's of gradients divided by their losses, and no mixture that a search finds is shorter",
            "K = 2, 3, 4", 1e-6, ExactIsMgda),
        new("exact: L → kL", "g* is the same when each loss is multiplied by a constant of its own", "K = 2, 3, 4", 1e-6, ExactScale),
        new("exact: order", "g* does not depend on the order of the objectives", "K = 2, 3, 4", 1e-6, ExactOrder),
        new("exact: border", "g* is continuous where clamping begins: ‖g* − g_short‖ ≤ ε m²/‖g1 − g2‖ at c = (1 ∓ ε) m²",
            "c near min(a, b)", 1e-9, ExactBorder),
        new("exact: vanished", "an objective with ‖g_k‖ ≤ 1e-6 max ‖g_i‖ is left out: g* is the other gradient, not 0",
            "K = 2 (a departure from eq. 9)", 1e-12, Vanished),
        new("features: M Mᵀ = κI", "exact-features, which weighs ∇_Z log L_k, and exact, which weighs Mᵀ∇_Z log L_k, find the same π",
            "K = 2, 3, M = ∂Z/∂θ a rotation times any size", 1e-6, FeaturesRotated),
        new("features: not aligned", "elsewhere 3.2 is lost: π of exact-features at h = (1, 0), (−1, 1) gives ⟨g*, g_2⟩ < 0",
            "M = diag(s, 1/s), s⁴ > 2", 0, FeaturesNotAligned),
        // FAMO's authors add 1e-8 to every loss, of which small ones feel a little.
        new("FAMO: L → kL", "π of FAMO's reading is the same when each loss is multiplied by a constant of its own",
            "50 steps, K = 2, 3", 1e-4, FamoScale, 10),
        new("amortised: not L → kL", "π of the logits reading moves by more than 0.02 when both losses are multiplied by 10",
            "L = (0.8, 12) and nearby, 100 steps", 0, AmortisedScale, 20),
        new("amortised: collapse", "π of the logits reading runs to the loss with the smallest |log L|: its weight is > 0.9",
            "log L of one sign, |log L| at least 1.5 apart, 400 steps at rest", 0, Collapse, 20),
        new("amortised: freezing", "π of the literal reading stays within 0.05 of ½", "K = 2, any losses, 100 steps", 0, Freezing, 20),
    ];

    public static IReadOnlyList<ClaimResult> Run(VerifySettings settings, CancellationToken stop)
    {
        var results = new ClaimResult[_all.Length];
        var options = new ParallelOptions { MaxDegreeOfParallelism = settings.Threads, CancellationToken = stop };
        Parallel.For(0, _all.Length, options, index => results[index] = Check(_all[index], index, settings, stop));
        return results;
    }

    private static ClaimResult Check(RuleClaim claim, int index, VerifySettings settings, CancellationToken stop)
    {
        int cases = Math.Max(FewestCases, settings.Cases / FewerThanPairs / claim.Fewer), inside = 0, failures = 0;
        double worst = double.PositiveInfinity;
        for (int i = 0; i < cases; i++)
        {
            stop.ThrowIfCancellationRequested();
            if (claim.Try(new CaseRandom(settings.Seed, (ulong)(1000 + index), (ulong)i)) is not { } margin)
                continue;
            inside++;
            worst = Math.Min(worst, margin);
            failures += margin >= -claim.Tolerance ? 0 : 1;
        }
        return new ClaimResult
        {
            Name = claim.Name,
            Statement = claim.Statement,
            Domain = claim.Domain,
            Cases = cases,
            InDomain = inside,
            WorstMargin = worst,
            Tolerance = claim.Tolerance,
            Failures = failures,
        };
    }

    private static double? GramMatrix(CaseRandom random)
    {
        int n = 1 + random.Below(4), length = 2 + random.Below(4999), first = 1 + random.Below(length - 1);
        // What lies between the ranges belongs to parameters that are left out.
        int left = random.Below(20);
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var g = new Tensor[n];
        for (int k = 0; k < n; k++)
        {
            double size = Math.Pow(10, random.Uniform(-3, 3));
            g[k] = step.Empty([length + left]);
            foreach (ref float x in g[k].Span<float>())
                x = (float)(size * random.Gaussian());
        }
        var gram = new double[n * n];
        Flat.Gram(g, [new FlatRange(0, first), new FlatRange(first + left, length - first)], gram);
        double[][] used = Array.ConvertAll(g, x =>
        {
            float[] values = [.. x.Span<float>()[..first], .. x.Span<float>()[(first + left)..]];
            return Array.ConvertAll(values, y => (double)y);
        });
        double worst = 0;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                worst = Math.Min(worst, -Math.Abs(gram[i * n + j] - Dot(used[i], used[j])) / (Norm(used[i]) * Norm(used[j])));
        }
        return worst;
    }

    private static double? FirstOrder(CaseRandom random)
    {
        // The kinks of ToyProblem: where valleys meet bowls, and where a valley's logarithm is cut off.
        double x1 = random.Uniform(-10, 10), x2 = random.Uniform(-10, 10), tanh = Math.Tanh(-x2);
        bool nearKink = Math.Abs(x2) < 0.01
            || Math.Min(Math.Abs(0.5 * (-x1 - 7) - tanh), Math.Abs(0.5 * (-x1 + 3) + tanh + 2)) < 0.05;
        double[] losses = new double[2], after = new double[2], j = new double[4];
        ToyProblem.Losses(x1, x2, losses);
        ToyProblem.Jacobian(x1, x2, j);
        double[][] g = [[j[0] / losses[0], j[1] / losses[0]], [j[2] / losses[1], j[3] / losses[1]]];
        double[] mixed = Exact(losses, [j[..2], j[2..]]);
        double norm = Norm(mixed);
        // Beside a Pareto-stationary point the curvature is all there is.
        if (nearKink || norm < 1e-2 * Math.Min(Norm(g[0]), Norm(g[1])))
            return null;
        double eta = 1e-6 / norm, worst = double.PositiveInfinity;
        ToyProblem.Losses(x1 - eta * mixed[0], x2 - eta * mixed[1], after);
        for (int i = 0; i < 2; i++)
        {
            double lower = Math.Log(losses[i] / after[i]), size = eta * norm * Norm(g[i]);
            worst = Math.Min(worst, -Math.Abs(lower - eta * Dot(mixed, g[i])) / size);
            worst = Math.Min(worst, (lower - eta * norm * norm) / size);
        }
        return worst;
    }

    private static double? ExactIsMgda(CaseRandom random)
    {
        var (losses, raw) = Draw(ref random, 2 + random.Below(3));
        double[] mixed = Exact(losses, raw);
        double[][] log = [.. raw.Zip(losses, (g, loss) => Array.ConvertAll(g, x => x / loss))];
        // MGDA's authors apply π to the raw gradients; here it is applied to what it was found for.
        double[] mgda = Combined(Weighed("mgda-loss", losses, raw).Pi, log);
        double size = Longest(losses, raw), worst = -Distance(mixed, mgda) / size;
        if (losses.Length > 2)
            return worst;
        // Golden sections of the parabola ‖t g1 + (1 − t) g2‖², which know nothing of Gram matrices.
        double low = 0, high = 1, inner = 0.5 * (Math.Sqrt(5) - 1);
        double LengthAt(double t) => Norm([.. log[0].Zip(log[1], (x, y) => t * x + (1 - t) * y)]);
        for (int round = 0; round < 60; round++)
        {
            double left = high - inner * (high - low), right = low + inner * (high - low);
            (low, high) = LengthAt(left) <= LengthAt(right) ? (low, right) : (left, high);
        }
        double found = Math.Min(LengthAt(0.5 * (low + high)), Math.Min(LengthAt(0), LengthAt(1)));
        return Math.Min(worst, (found - Norm(mixed)) / size);
    }

    private static double? ExactScale(CaseRandom random)
    {
        var (losses, raw) = Draw(ref random, 2 + random.Below(3));
        double[] before = Exact(losses, raw);
        for (int i = 0; i < losses.Length; i++)
        {
            double k = Math.Pow(10, random.Uniform(-3, 3));
            losses[i] *= k;
            raw[i] = Array.ConvertAll(raw[i], x => k * x);
        }
        return -Distance(before, Exact(losses, raw)) / Longest(losses, raw);
    }

    private static double? ExactOrder(CaseRandom random)
    {
        var (losses, raw) = Draw(ref random, 2 + random.Below(3));
        double[] before = Exact(losses, raw);
        int by = 1 + random.Below(losses.Length - 1);
        double[] turned = [.. losses[by..], .. losses[..by]];
        return -Distance(before, Exact(turned, [.. raw[by..], .. raw[..by]])) / Longest(losses, raw);
    }

    private static double? ExactBorder(CaseRandom random)
    {
        var (_, raw) = Draw(ref random, 2);
        double[] g1 = raw[0], g2 = raw[1];
        double a = Dot(g1, g1), little = Math.Pow(10, random.Uniform(-12, -2)), worst = double.PositiveInfinity;
        double[] across = [.. g2.Select((x, i) => x - Dot(g1, g2) / a * g1[i])];
        foreach (double sign in (double[])[-1, 1])
        {
            double[] other = [.. across.Select((x, i) => x + (1 + sign * little) * g1[i])];
            if (Dot(other, other) < a)
                return null;
            double[] mixed = Exact([1, 1], [g1, other]);
            double m = Math.Sqrt(a), allowed = sign < 0 ? little * a / Distance(g1, other) : 0;
            worst = Math.Min(worst, (allowed - Distance(mixed, g1)) / m);
        }
        return worst;
    }

    private static double? Vanished(CaseRandom random)
    {
        var (_, raw) = Draw(ref random, 2);
        double share = Math.Pow(10, random.Uniform(-12, -6.1)) * Norm(raw[1]) / Norm(raw[0]);
        raw[0] = Array.ConvertAll(raw[0], x => share * x);
        return -Distance(Exact([1, 1], raw), raw[1]) / Norm(raw[1]);
    }

    private static double? FeaturesRotated(CaseRandom random)
    {
        var (losses, atZ) = Draw(ref random, 2 + random.Below(2));
        var (_, planes) = Draw(ref random, 3);
        double size = Math.Pow(10, random.Uniform(-3, 3));
        // Mirrored at three planes: orthogonal, and no axis is left in its place.
        double[][] atTheta = [.. atZ.Select(g => planes.Aggregate(g, (x, plane) =>
        {
            double twice = 2 * Dot(x, plane) / Dot(plane, plane);
            return [.. x.Zip(plane, (a, b) => a - twice * b)];
        }).Select(x => size * x).ToArray())];
        double[] mixed = Exact(losses, atTheta);
        double[] onFeatures = Combined(Weighed("exact-features", losses, atZ).Coefficients, atTheta);
        return -Distance(mixed, onFeatures) / Longest(losses, atTheta);
    }

    private static double? FeaturesNotAligned(CaseRandom random)
    {
        double s = Math.Pow(10, random.Uniform(-1, 2));
        if (s * s * s * s < 2.001)
            return null;
        double[][] atZ = [[1, 0], [-1, 1]], atTheta = [.. atZ.Select(h => new[] { s * h[0], h[1] / s })];
        double[] mixed = Combined(Weighed("exact-features", [1, 1], atZ).Coefficients, atTheta);
        return -Dot(mixed, atTheta[1]) / (Norm(mixed) * Norm(atTheta[1]));
    }

    private static double? FamoScale(CaseRandom random)
    {
        double worst = double.PositiveInfinity;
        foreach (var entry in BalancerRegistry.Entries.Where(entry => entry.Name.Contains("famo", StringComparison.Ordinal)))
        {
            int n = 2 + random.Below(2);
            double[] scale = [.. Enumerable.Range(0, n).Select(_ => Math.Pow(10, random.Uniform(-2, 2)))];
            double[][] losses = [.. Enumerable.Range(0, 51).Select(_ =>
                Enumerable.Range(0, n).Select(_ => Math.Pow(10, random.Uniform(-1, 1))).ToArray())];
            double[][] scaled = [.. losses.Select(step => step.Select((loss, i) => scale[i] * loss).ToArray())];
            worst = Math.Min(worst, -LargestDifference(Follow(entry, losses), Follow(entry, scaled)));
        }
        return worst;
    }

    private static double? AmortisedScale(CaseRandom random)
    {
        double[] losses = [0.8 * random.Uniform(0.95, 1.05), 12 * random.Uniform(0.95, 1.05)];
        var entry = Entry("amortised-logits");
        return LargestDifference(
            Follow(entry, Repeat(losses, 101)), Follow(entry, Repeat([10 * losses[0], 10 * losses[1]], 101))) - 0.02;
    }

    private static double? Collapse(CaseRandom random)
    {
        int sign = random.Below(2) == 0 ? 1 : -1;
        double small = random.Uniform(0.5, 2), large = small + random.Uniform(1.5, 4);
        double[] pi = Follow(Entry("amortised-logits"), Repeat([Math.Exp(sign * large), Math.Exp(sign * small)], 401));
        return pi[1] - 0.9;
    }

    private static double? Freezing(CaseRandom random)
    {
        double[][] losses = [.. Enumerable.Range(0, 101).Select(_ =>
            new[] { Math.Pow(10, random.Uniform(-3, 3)), Math.Pow(10, random.Uniform(-3, 3)) })];
        return 0.05 - Math.Abs(Follow(Entry("amortised-literal"), losses)[0] - 0.5);
    }

    private static BalancerEntry Entry(string name) => BalancerRegistry.Entries.Single(entry => entry.Name == name);

    private static double[][] Repeat(double[] losses, int count) => [.. Enumerable.Repeat(losses, count)];

    /// <summary>π after a rule has seen losses step by step; those of a step are those after the step before.</summary>
    private static double[] Follow(BalancerEntry entry, double[][] losses)
    {
        int n = losses[0].Length;
        var rule = entry.Create(new BalancerOptions { Objectives = n, Task = n - 1 });
        for (int step = 0; step + 1 < losses.Length; step++)
        {
            rule.Weigh(new StepSignals(losses[step]));
            rule.AfterStep(losses[step + 1]);
        }
        return rule.Weigh(new StepSignals(losses[^1])).Pi.ToArray();
    }

    /// <summary>Losses, and gradients ∇L_k = L_k ∇log L_k whose log-gradients are of different sizes.</summary>
    private static (double[] Losses, double[][] Raw) Draw(ref CaseRandom random, int objectives)
    {
        var losses = new double[objectives];
        var raw = new double[objectives][];
        for (int k = 0; k < objectives; k++)
        {
            losses[k] = Math.Pow(10, random.Uniform(-2, 2));
            double size = Math.Pow(10, random.Uniform(-1, 1));
            raw[k] = new double[Length];
            for (int i = 0; i < Length; i++)
                raw[k][i] = losses[k] * size * random.Gaussian();
        }
        return (losses, raw);
    }

    /// <summary>g* of the exact rule: Σ π_k ∇log L_k.</summary>
    private static double[] Exact(double[] losses, double[][] raw) => Combined(Weighed("exact", losses, raw).Coefficients, raw);

    /// <summary>The weights of a rule's first step.</summary>
    private static StepWeights Weighed(string name, double[] losses, double[][] raw)
    {
        int n = losses.Length;
        var gram = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                gram[i * n + j] = Flat.Dot((ReadOnlySpan<double>)raw[i], raw[j]);
        }
        return Entry(name).Create(new BalancerOptions { Objectives = n, Task = n - 1 }).Weigh(new StepSignals(losses, gram));
    }

    private static double[] Combined(ReadOnlySpan<double> weights, double[][] g)
    {
        var mixed = new double[g[0].Length];
        for (int k = 0; k < g.Length; k++)
        {
            for (int i = 0; i < mixed.Length; i++)
                mixed[i] += weights[k] * g[k][i];
        }
        return mixed;
    }

    /// <summary>The longest ∇log L_k.</summary>
    private static double Longest(double[] losses, double[][] raw) => raw.Zip(losses, (g, loss) => Norm(g) / loss).Max();

    private static double LargestDifference(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double Norm(double[] a) => Math.Sqrt(Dot(a, a));

    private static double Distance(double[] a, double[] b) => Norm([.. a.Zip(b, (x, y) => x - y)]);
}
