using DtoKd.Training.Tests.Cli;
using DtoKd.Training.Verification;
using DtoKd.Tests;

namespace DtoKd.Training.Tests.Verification;

public class VerifierTests
{
    private static readonly VerifySettings Few = new() { Cases = 3000, Dimension = 3, Threads = 1 };

    private static PairClaim Claim(string name) => PaperClaims.All.Single(claim => claim.Name == name);

    private static ClaimResult Check(PairClaim claim, VerifySettings? settings = null) =>
        Verifier.Run([claim], settings ?? Few).Single();

    [Fact]
    public void Every_claim_holds_and_does_not_depend_on_the_threads()
    {
        var one = Verifier.Run(Few);
        var two = Verifier.Run(Few with { Threads = 2 });
        Assert.All(one, result => Assert.True(result.Holds, $"{result.Name}: {result.Verdict}, worst {result.WorstMargin}"));
        Assert.Equal(one.Select(r => (r.Name, r.InDomain, r.WorstMargin, r.FailuresOutside)),
            two.Select(r => (r.Name, r.InDomain, r.WorstMargin, r.FailuresOutside)));
    }

    [Fact]
    public void Another_seed_draws_other_cases() => Assert.NotEqual(
        Check(Claim("3.3 equal contribution")).InDomain, Check(Claim("3.3 equal contribution"), Few with { Seed = 2 }).InDomain);

    [Theory]
    [InlineData("Theorem 3.1")]
    [InlineData("3.2 alignment")]
    [InlineData("3.3 equal contribution")]
    [InlineData("3.4 lower bound")]
    [InlineData("3.5 upper bound")]
    public void A_corollary_claimed_everywhere_fails_with_a_small_example(string name)
    {
        var result = Check(Claim(name) with { Holds = f => f.BothNonZero });
        Assert.False(result.Holds);
        Assert.True(result.Failures > 0);
        Assert.NotNull(result.FoundInside);
        Assert.True(result.FoundInside.G1.Count <= 2, result.FoundInside.ToString());
    }

    [Fact]
    public void A_counter_example_that_is_none_fails_the_claim()
    {
        var result = Check(Claim("3.4 lower bound") with { CounterExample = new([1, 0], [0, 1]) });
        Assert.Equal(0, result.Failures);
        Assert.False(result.CounterExampleStands);
        Assert.False(result.Holds);
    }

    [Fact]
    public void A_claim_whose_domain_is_never_met_has_not_been_tried() =>
        Assert.Equal("NOT TRIED", Check(Claim("dual") with { Holds = _ => false }).Verdict);

    [Fact]
    public void A_margin_that_is_not_a_number_is_a_failure() =>
        Assert.True(Check(Claim("dual") with { Margin = _ => double.NaN }).Failures > 0);

    [Theory]
    // Test vectors of the paper's statements, computed by hand: g1, g2, π1, ‖g*‖², both inner products.
    [InlineData(1, 0, 0, 2, 0.8, 0.8, 0.8, 0.8)]
    [InlineData(1, 0, -1, 1, 0.6, 0.2, 0.2, 0.2)]
    [InlineData(1, 0, -1, 0, 0.5, 0, 0, 0)]
    [InlineData(1, 0, 3, 1, 1, 1, 1, 3)]
    [InlineData(1, 0, 2, 0, 1, 1, 1, 2)]
    public void Measures_what_a_pencil_does(
        double x1, double y1, double x2, double y2, double pi1, double square, double dot1, double dot2)
    {
        var facts = Verifier.Measure([x1, y1], [x2, y2]);
        Assert.Equal(pi1, facts.Pi1, 1e-15);
        Assert.Equal(square, facts.Norm * facts.Norm, 1e-15);
        Assert.Equal(dot1, facts.Dot1, 1e-15);
        Assert.Equal(dot2, facts.Dot2, 1e-15);
        Assert.Equal(x1 * x2 + y1 * y2, facts.C, 1e-15);
        Assert.Equal((x1 - x2) * (x1 - x2) + (y1 - y2) * (y1 - y2), facts.D, 1e-15);
    }

    [Theory]
    // Right angle: 3.4 and 3.3 hold; opposed: they do not; a tenth of a degree and ratio 10: clamped.
    [InlineData("3.4 lower bound", 1, 90, true)]
    [InlineData("3.4 lower bound", 0, 91, false)]
    [InlineData("3.3 equal contribution", 1, 90, true)]
    [InlineData("3.3 equal contribution", 1, 45, false)]
    [InlineData("3.3 equal contribution", 0, 45, true)]
    [InlineData("3.2 alignment", 0, 180, false)]
    [InlineData("3.2 alignment", 1, 170, true)]
    [InlineData("3.5 upper bound", -1, 90, false)]
    [InlineData("3.5 upper bound", 1, 90, true)]
    [InlineData("Theorem 3.1", 1, 45, false)]
    public void The_map_knows_where_a_statement_holds(string name, double logRatio, double angle, bool holds) =>
        Assert.Equal(holds, VerifyPage.IsTrueAt(Claim(name), logRatio, angle));

    [Fact]
    public void The_program_prints_the_verdicts_and_writes_both_files()
    {
        using var folder = new TemporaryFolder();
        var run = Dtokd.Run("verify", "--cases", "500", "--dimension", "2", "--json", folder["v.json"], "--html", folder["v.html"]);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("3.3 equal contribution", run.Output, StringComparison.Ordinal);
        Assert.Contains("claims hold where they are said to", run.Output, StringComparison.Ordinal);
        string page = File.ReadAllText(folder["v.html"]), json = File.ReadAllText(folder["v.json"]);
        Assert.Contains("Content-Security-Policy", page, StringComparison.Ordinal);
        Assert.Contains("\"heatmap\"", page, StringComparison.Ordinal);
        Assert.Contains("\"worstMargin\"", json, StringComparison.Ordinal);
    }

    [Fact]
    public void Claims_that_no_case_tried_are_not_said_to_fail()
    {
        var run = Dtokd.Run("verify", "--cases", "1", "--dimension", "2");
        Assert.Equal(1, run.ExitCode);
        Assert.Matches(@"\d+ of \d+ claims were not tried: no case was where they are said to hold; more --cases try them\n$", run.Output);
        Assert.DoesNotContain("FAIL", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--cases", "0")]
    [InlineData("--dimension", "0")]
    [InlineData("--threads", "0")]
    public void Nothing_to_try_is_bad_usage(string option, string value)
    {
        var run = Dtokd.Run("verify", option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Single(run.Error.TrimEnd().Split('\n'));
    }
}
