using DtoKd.Training.Verification;
using FsCheck;
using FsCheck.Fluent;

namespace DtoKd.Training.Tests.Verification;

/// <summary>
/// The claims of <see cref="PaperClaims"/> as properties over FsCheck's own draws, independent of the verifier's generators and
/// with its shrinking. Each prints how often its precondition was met and fails when that was too seldom.
/// </summary>
public class ClaimProperties(ITestOutputHelper output)
{
    private const int Cases = 2000;

    private sealed record Pair(double[] G1, double[] G2)
    {
        public override string ToString() => $"({string.Join(", ", G1)}) ; ({string.Join(", ", G2)})";
    }

    public static TheoryData<string> Names() => new(PaperClaims.All.Select(claim => claim.Name));

    private static PairClaim Claim(string name) => PaperClaims.All.Single(claim => claim.Name == name);

    private static Gen<double[]> Vector(int d) => Gen.Choose(-64, 64).Select(i => i / 8.0).ArrayOf(d);

    private static double[] Times(double[] g, double factor) => Array.ConvertAll(g, x => factor * x);

    private static Gen<Pair> Pairs { get; } =
        from d in Gen.Choose(1, 6)
        from g1 in Vector(d)
        from g2 in Vector(d)
        from kind in Gen.Choose(0, 6)
        from exponent in Gen.Choose(-20, 20)
        select kind switch
        {
            0 => new Pair(g1, Times(g1, 1 + Math.Abs(exponent))),
            1 => new Pair(g1, Times(g1, -Math.ScaleB(1, exponent))),
            2 => new Pair(g1, Times(g2, Math.Pow(10, exponent))),
            3 => new Pair(g1, [.. g1.Reverse()]),
            4 => new Pair(g1, [.. g1.Zip(g2, (x, y) => x + y * Math.Pow(10, -Math.Abs(exponent) / 2.0))]),
            5 => new Pair(new double[d], g2),
            _ => new Pair(g1, g2),
        };

    private static Arbitrary<Pair> Arbitrary { get; } = Arb.From(Pairs, Shrunk);

    /// <summary>Fewer coordinates, zeros, whole numbers: towards a pair that can be read.</summary>
    private static IEnumerable<Pair> Shrunk(Pair pair)
    {
        var (g1, g2) = pair;
        for (int i = 0; i < g1.Length && g1.Length > 1; i++)
            yield return new Pair([.. g1[..i], .. g1[(i + 1)..]], [.. g2[..i], .. g2[(i + 1)..]]);
        for (int i = 0; i < 2 * g1.Length; i++)
        {
            double x = i < g1.Length ? g1[i] : g2[i - g1.Length];
            foreach (double y in new[] { 0, Math.Round(x / 2) })
            {
                if (Math.Abs(y) >= Math.Abs(x))
                    continue;
                double[] h1 = [.. g1], h2 = [.. g2];
                (i < g1.Length ? h1 : h2)[i % g1.Length] = y;
                yield return new Pair(h1, h2);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Holds_on_its_domain(string name)
    {
        var claim = Claim(name);
        int met = 0;
        Prop.ForAll(Arbitrary, pair =>
        {
            var facts = Verifier.Measure(pair.G1, pair.G2);
            if (!claim.Holds(facts))
                return true;
            met++;
            return claim.IsTrueOf(facts);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases).WithQuietOnSuccess(true));
        output.WriteLine($"{name}: precondition met in {met} of {Cases}");
        Assert.True(met >= Cases / 50, $"the precondition held in only {met} of {Cases} cases");
    }

    [Fact]
    public void What_is_printed_too_strong_fails_outside_its_domain_and_shrinks_to_small_numbers()
    {
        foreach (var claim in PaperClaims.All.Where(claim => claim.CounterExample is not null))
        {
            Pair? last = null;
            Assert.ThrowsAny<Exception>(() => Prop.ForAll(Arbitrary, pair =>
            {
                var facts = Verifier.Measure(pair.G1, pair.G2);
                bool holds = !facts.BothNonZero || claim.Holds(facts) || claim.IsTrueOf(facts);
                last = holds ? last : pair;
                return holds;
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases).WithQuietOnSuccess(true)));
            output.WriteLine($"{claim.Name}: {last}");
            Assert.NotNull(last);
            Assert.True(last.G1.Length <= 2, $"{claim.Name}: {last}");
        }
    }
}
