using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>How much is tried.</summary>
public sealed record VerifySettings
{
    /// <summary>Cases of each claim, beside the few of high dimension.</summary>
    public int Cases { get; init; } = 100_000;

    /// <summary>The dimension of all cases; null for 2 to 64 and a few up to ten million.</summary>
    public int? Dimension { get; init; }

    /// <summary>What the cases are drawn from.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Threads; the results do not depend on it.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>Tries claims over drawn cases, on the product's own Gram matrix and weights.</summary>
public static class Verifier
{
    private const int Chunk = 1000, MostDimensions = 64, Networks = 64, LargestArray = 100_000_000;

    // Up to ten million, where a pair takes 80 MB.
    private static readonly int[] _large = [1_000, 4_097, 30_000, 100_000, 100_001, 1_000_000, 10_000_000];

    /// <summary>Tries all claims: the paper's over pairs, then those over rules.</summary>
    /// <param name="settings">How much.</param>
    /// <param name="stop">Ends the work between two chunks.</param>
    /// <returns>A result for each claim, in order.</returns>
    /// <exception cref="ArgumentException">A number out of its range.</exception>
    public static IReadOnlyList<ClaimResult> Run(VerifySettings settings, CancellationToken stop = default) =>
        [.. Run(PaperClaims.All, settings, stop), .. RuleClaims.Run(settings, stop)];

    /// <summary>Tries claims about pairs of gradients.</summary>
    /// <param name="claims">The claims.</param>
    /// <param name="settings">How much.</param>
    /// <param name="stop">Ends the work between two chunks.</param>
    /// <returns>A result for each claim, in order.</returns>
    public static IReadOnlyList<ClaimResult> Run(
        IReadOnlyList<PairClaim> claims, VerifySettings settings, CancellationToken stop = default)
    {
        if (settings.Cases < 1)
            throw new ArgumentException($"the number of cases is {settings.Cases}; it has to be at least 1");
        if (settings.Dimension is < 1 or > LargestArray)
            throw new ArgumentException($"the dimension is {settings.Dimension}; it has to be in 1 .. {LargestArray}");
        var networks = new NetworkGradients(Networks, settings.Seed);
        PairFacts[] large = settings.Dimension is null ? LargeFacts(settings) : [];
        return [.. claims.Select((claim, index) => Check(claim, index, networks, large, settings, stop))];
    }

    /// <summary>Measures a given pair as every case is measured.</summary>
    /// <param name="g1">∇log L_1.</param>
    /// <param name="g2">∇log L_2, of the same length.</param>
    public static PairFacts Measure(ReadOnlySpan<double> g1, ReadOnlySpan<double> g2)
    {
        ReadOnlySpan<double> gram = [Flat.Dot(g1, g1), Flat.Dot(g1, g2), Flat.Dot(g1, g2), Flat.Dot(g2, g2)];
        return PairCase.Weighed(gram, 1, 1, new DtoExact(2, double.Epsilon, 0), g1, g2);
    }

    private static ClaimResult Check(
        PairClaim claim, int index, NetworkGradients networks, PairFacts[] large, VerifySettings settings, CancellationToken stop)
    {
        int chunks = (settings.Cases + Chunk - 1) / Chunk;
        var counts = new Counts[chunks];
        var options = new ParallelOptions { MaxDegreeOfParallelism = settings.Threads, CancellationToken = stop };
        Parallel.For(
            0,
            chunks,
            options,
            () => new PairCase(settings.Dimension ?? MostDimensions, networks),
            (chunk, _, buffers) =>
            {
                var random = new CaseRandom(settings.Seed, (ulong)index, (ulong)chunk);
                ref var count = ref counts[chunk];
                count.Worst = double.PositiveInfinity;
                for (int i = chunk * Chunk; i < Math.Min(settings.Cases, (chunk + 1) * Chunk); i++)
                {
                    int length = settings.Dimension ?? Dimension(ref random);
                    buffers.Draw(ref random, length, single: i % 2 == 1);
                    if (count.Add(claim, buffers.Measure(), out bool inside))
                        continue;
                    if (inside)
                        count.Inside ??= Logarithmic(buffers);
                    else
                        count.Outside ??= Logarithmic(buffers);
                }
                return buffers;
            },
            _ => { });

        var total = new Counts { Worst = double.PositiveInfinity };
        foreach (var facts in large)
            total.Add(claim, facts, out _);
        foreach (ref var count in counts.AsSpan())
            total.Join(count);
        return new ClaimResult
        {
            Name = claim.Name,
            Statement = claim.Statement,
            Domain = claim.Domain,
            Cases = settings.Cases + large.Length,
            InDomain = total.InDomain,
            WorstMargin = total.Worst,
            Tolerance = claim.Tolerance,
            Failures = total.Failures,
            FailuresOutside = total.FailuresOutside,
            CounterExample = claim.CounterExample,
            CounterExampleStands = claim.CounterExample is not { } example || IsExample(claim, [.. example.G1], [.. example.G2], inside: false),
            FoundInside = Shrunk(total.Inside, (g1, g2) => IsExample(claim, g1, g2, inside: true)),
            FoundOutside = Shrunk(total.Outside, (g1, g2) => IsExample(claim, g1, g2, inside: false)),
        };
    }

    private static bool IsExample(PairClaim claim, double[] g1, double[] g2, bool inside)
    {
        var facts = Measure(g1, g2);
        return facts.BothNonZero && claim.Holds(facts) == inside && !claim.IsTrueOf(facts);
    }

    private static CounterExample? Shrunk((double[] G1, double[] G2)? found, Func<double[], double[], bool> fails) =>
        found is not { } pair ? null
        // What failed only after rounding or scaling by the losses is shown as it was.
        : fails(pair.G1, pair.G2) ? Shrinking.Shrink(pair.G1, pair.G2, fails) : new CounterExample(pair.G1, pair.G2);

    private static (double[] G1, double[] G2) Logarithmic(PairCase pair)
    {
        double[] g1 = pair.Raw1.ToArray(), g2 = pair.Raw2.ToArray();
        for (int i = 0; i < g1.Length; i++)
        {
            g1[i] /= pair.Loss1;
            g2[i] /= pair.Loss2;
        }
        return (g1, g2);
    }

    private static int Dimension(ref CaseRandom random) => (int)Math.Pow(2, random.Uniform(1, Math.Log2(MostDimensions + 1)));

    /// <summary>
    /// The cases of high dimension, measured once for all claims. Their Gram matrices are <see cref="Flat.Gram"/>'s, as in a
    /// training step.
    /// </summary>
    private static PairFacts[] LargeFacts(VerifySettings settings)
    {
        using var device = new CpuDevice(settings.Threads);
        var facts = new List<PairFacts>();
        var rule = new DtoExact(2, double.Epsilon, 0);
        Span<double> gram = stackalloc double[4];
        foreach (var (index, length) in _large.Index())
        {
            var random = new CaseRandom(settings.Seed, 0x1A46E, (ulong)index);
            double size = Math.Pow(10, random.Uniform(-3, 3)), lean = random.Uniform(-2, 2);
            using var step = Step.Evaluation(device);
            Tensor first = step.Empty([length]), second = step.Empty([length]);
            Span<float> x = first.Span<float>(), y = second.Span<float>();
            double[] raw1 = new double[length], raw2 = new double[length];
            for (int i = 0; i < length; i++)
            {
                x[i] = (float)random.Uniform(-1, 1);
                y[i] = (float)(size * (random.Uniform(-1, 1) + lean * x[i]));
                (raw1[i], raw2[i]) = (x[i], y[i]);
            }
            Flat.Gram([first, second], [new FlatRange(0, length)], gram);
            facts.Add(PairCase.Weighed(gram, 1, size, rule, raw1, raw2));
        }
        return [.. facts];
    }

    private struct Counts
    {
        public long InDomain, Failures, FailuresOutside;
        public double Worst;
        public (double[] G1, double[] G2)? Inside, Outside;

        /// <summary>Counts a case; false if the statement fails there.</summary>
        public bool Add(PairClaim claim, in PairFacts facts, out bool inside)
        {
            inside = claim.Holds(facts);
            // A statement about two gradients says nothing of a zero one unless its domain asks for it.
            if (!inside && !facts.BothNonZero)
                return true;
            bool holds = claim.IsTrueOf(facts);
            if (inside)
            {
                InDomain++;
                Failures += holds ? 0 : 1;
                Worst = Math.Min(Worst, claim.Margin(facts));
            }
            else
            {
                FailuresOutside += holds ? 0 : 1;
            }
            return holds;
        }

        public void Join(in Counts other)
        {
            InDomain += other.InDomain;
            Failures += other.Failures;
            FailuresOutside += other.FailuresOutside;
            Worst = Math.Min(Worst, other.Worst);
            Inside ??= other.Inside;
            Outside ??= other.Outside;
        }
    }
}
