using DtoKd.Tests;
using DtoKd.Training.Balancing;
using DtoKd.Training.Tests.Balancing;
using DtoKd.Training.Tests.Cli;
using DtoKd.Training.Verification;

namespace DtoKd.Training.Tests.Verification;

public class ToyTests
{
    private static readonly Dictionary<string, Func<Balancer>> Rules = new()
    {
        ["ls"] = () => new FixedWeights([0.5, 0.5]),
        ["dto_closed_form"] = () => new DtoExact(2),
        ["dto_amortised_literal"] = () => new DtoAmortised(2, AmortisedReading.Literal, new(TradeOffRule.Sgd, WeightDecay: 0)),
        ["dto_amortised_logits"] = () => new DtoAmortised(2, AmortisedReading.Logits, new(TradeOffRule.Sgd, WeightDecay: 0)),
        ["dto_amortised_adam"] = () => new DtoAmortised(2, AmortisedReading.Logits, new(TradeOffRule.Adam)),
        ["famo"] = () => new DtoAmortised(2, AmortisedReading.Famo, new(TradeOffRule.Adam, WeightDecay: 1e-5)),
        ["famo_g.01"] = () => new DtoAmortised(2, AmortisedReading.Famo, new(TradeOffRule.Adam)),
    };

    public static TheoryData<string> Methods() => new(Rules.Keys);

    [Fact]
    public void Values_and_gradients_agree_with_the_recorded_grid()
    {
        double[] x = BalanceFixture.Tensor("toy.grid.x"), f = BalanceFixture.Tensor("toy.grid.f");
        double[] j = BalanceFixture.Tensor("toy.grid.J");
        Span<double> values = stackalloc double[2], jacobian = stackalloc double[4];
        for (int p = 0; 2 * p < x.Length; p++)
        {
            ToyProblem.Values(x[2 * p], x[2 * p + 1], values);
            ToyProblem.Jacobian(x[2 * p], x[2 * p + 1], jacobian);
            for (int i = 0; i < 2; i++)
                Assert.Equal(f[2 * p + i], values[i], 1e-13);
            for (int i = 0; i < 4; i++)
                Assert.Equal(j[4 * p + i], jacobian[i], 1e-12 * (1 + Math.Abs(j[4 * p + i])));
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Trajectories_agree_with_the_recorded_ones(string method)
    {
        var toy = BalanceFixture.Cases("toy").Single();
        for (int start = 0; start < 5; start++)
        {
            double[][] rows = BalanceFixture.Rows($"toy.{method}.{start}");
            double[] growth = [.. toy.GetProperty("amplification").GetProperty($"{method}.{start}").EnumerateArray().Select(e => e.GetDouble())];
            var points = ToyRun.Follow(Rules[method](), ToyProblem.Starts[start], rows.Length);
            for (int step = 0; step < rows.Length; step++)
            {
                // The recordings tell how far a start moved by 1e-10 ends; a run that has become chaotic is compared before that.
                double tolerance = Math.Max(1e-8, growth[step < 20 ? 0 : step < 50 ? 1 : 2] * 1e-13);
                if (tolerance > 1e-3)
                    break;
                Assert.Equal(rows[step][0], points[step].X1, tolerance);
                Assert.Equal(rows[step][1], points[step].X2, tolerance);
                Assert.Equal(rows[step][4], points[step].Pi1, tolerance);
            }
        }
    }

    [Fact]
    public void Losses_are_positive_on_the_whole_map()
    {
        Span<double> losses = stackalloc double[2];
        for (double x1 = -10; x1 <= 10; x1 += 0.25)
        {
            for (double x2 = -10; x2 <= 10; x2 += 0.25)
            {
                ToyProblem.Losses(x1, x2, losses);
                Assert.True(losses[0] > 0 && losses[1] > 0);
            }
        }
    }

    [Fact]
    public void The_program_follows_every_rule_of_the_registry_and_draws_it()
    {
        using var folder = new TemporaryFolder();
        var run = Dtokd.Run("toy", "--steps", "20", "--html", folder["toy.html"]);
        Assert.Equal(0, run.ExitCode);
        string page = File.ReadAllText(folder["toy.html"]);
        foreach (var entry in BalancerRegistry.Distinct)
        {
            Assert.Contains(entry.Name, run.Output, StringComparison.Ordinal);
            Assert.Contains($"<h3>{entry.Name}</h3>", page, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void No_steps_are_bad_usage() => Assert.Equal(2, Dtokd.Run("toy", "--steps", "0").ExitCode);

    [Fact]
    public void Gradients_oppose_each_other_on_the_front()
    {
        Span<double> j = stackalloc double[4];
        foreach (var (x1, x2) in ToyProblem.Front.Skip(1).SkipLast(1))
        {
            ToyProblem.Jacobian(x1, x2, j);
            double n1 = Math.Sqrt(j[0] * j[0] + j[1] * j[1]), n2 = Math.Sqrt(j[2] * j[2] + j[3] * j[3]);
            Assert.Equal(-1, (j[0] * j[2] + j[1] * j[3]) / (n1 * n2), 1e-6);
        }
    }
}
