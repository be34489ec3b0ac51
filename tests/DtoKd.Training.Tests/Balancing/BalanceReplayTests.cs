using DtoKd.Training.Balancing;
using DtoKd.Training.Verification;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>
/// Recorded trajectories: the toy's are run again from their start, the small network's are replayed, each balancer shown the
/// losses and gradients of every recorded step. It must give the weights and the mixed gradient that were recorded.
/// </summary>
public class BalanceReplayTests
{
    // The recordings add this to a loss before logarithm or division, where the balancers use a floor.
    private const double Shift = 1e-8;

    private static readonly Dictionary<string, Func<Balancer>> Rules = new()
    {
        ["dto_closed_form"] = () => new DtoExact(2),
        ["dto_amortised_literal"] = () => new DtoAmortised(2, AmortisedReading.Literal, new(TradeOffRule.Sgd, WeightDecay: 0)),
        ["dto_amortised_logits"] = () => new DtoAmortised(2, AmortisedReading.Logits, new(TradeOffRule.Sgd, WeightDecay: 0)),
        ["dto_amortised_adam"] = () => new DtoAmortised(2, AmortisedReading.Logits, new(TradeOffRule.Adam)),
        ["famo"] = () => new Famo(2, new(TradeOffRule.Adam, WeightDecay: 1e-5), ToyProblem.Minima.ToArray()),
        ["famo_g.01"] = () => new DtoAmortised(2, AmortisedReading.Famo, new(TradeOffRule.Adam)),
        ["fixed_half"] = () => new FixedWeights([0.5, 0.5]),
        ["ls"] = () => new FixedWeights([0.5, 0.5]),
        ["mgda"] = () => new Mgda(2),
        ["pcgrad"] = () => new PcGrad(2),
        ["cagrad"] = () => new CaGrad(2, 0.4),
        ["imtlg"] = () => new ImtlG(2),
        ["gradnorm"] = () => new GradNorm(2, 1.5, new(TradeOffRule.Sgd, WeightDecay: 0)),
        ["uncertainty"] = () => new Uncertainty(2),
        ["dwa"] = () => new Dwa(2, window: 1),
    };

    public static TheoryData<string, int> Toys()
    {
        var data = new TheoryData<string, int>();
        foreach (string method in Rules.Keys.Where(m => m != "fixed_half"))
        {
            for (int start = 0; start < 5; start++)
                data.Add(method, start);
        }
        return data;
    }

    /// <summary>
    /// The whole trajectory from its start. What it may differ by is what rounding grows to on the way: the recording says how
    /// much a start moved by 1e-10 changes the first 20, 50 and 200 rows, and how many rows there are before one moved by 1e-14
    /// has gone somewhere else: where a loss's logarithm is weighed, it passes by zero, and some trajectories are chaotic.
    /// </summary>
    [Theory]
    [MemberData(nameof(Toys))]
    public void Toy_of_two_objectives(string method, int start)
    {
        // Columns x1 x2 f1 f2 w1 w2 g1 g2.
        double[][] rows = BalanceFixture.Rows($"toy.{method}.{start}");
        var toy = BalanceFixture.Cases("toy").Single();
        var growth = toy.GetProperty("amplification").GetProperty($"{method}.{start}");
        int comparable = toy.GetProperty("rows").GetProperty($"{method}.{start}").GetInt32();
        // The recorded CAGrad searches its weight by comparing values, which are flat at the minimum, and the recorded IMTL-G
        // inverts the difference of nearly parallel unit gradients: both have half the digits.
        double digits = method is "cagrad" or "imtlg" ? 1e-8 : 1e-14;
        bool positive = method.StartsWith("dto", StringComparison.Ordinal) || method is "gradnorm" or "uncertainty" or "dwa" or "famo_g.01";
        bool clips = method.Contains("famo", StringComparison.Ordinal) || method.Contains("amortised", StringComparison.Ordinal);
        var rule = Rules[method]();
        double[] x = [rows[0][0], rows[0][1]], m = [0, 0], v = [0, 0];
        for (int step = 0; step < comparable; step++)
        {
            double grown = growth[step < 20 ? 0 : step < 50 ? 1 : 2].GetDouble();
            double tolerance = Math.Max(Math.Max(1e-10, digits), grown * digits);
            var (f, g) = At(x[0], x[1]);
            var weights = rule.Weigh(new StepSignals(Losses(f), g.Gram()));
            double[] mixed = g.Mix(weights.Coefficients);
            // PCGrad has no weights to compare.
            double[] pi = method == "pcgrad" ? [0, 0] : weights.Pi.ToArray();
            double[] row = [x[0], x[1], f[0], f[1], pi[0], pi[1], mixed[0], mixed[1]];
            for (int c = 0; c < row.Length; c++)
            {
                if (!(Math.Abs(rows[step][c] - row[c]) <= tolerance))
                    Assert.Fail($"row {step}, column {c}: {rows[step][c]} expected, {row[c]} came, tolerance {tolerance}");
            }

            double shrink = clips ? Math.Min(1, 1 / (Gradients.Norm(mixed) + 1e-6)) : 1;
            for (int i = 0; i < 2; i++)
            {
                double d = shrink * mixed[i];
                m[i] = 0.9 * m[i] + 0.1 * d;
                v[i] = 0.999 * v[i] + 0.001 * d * d;
                double rate = 0.05 / (1 - Math.Pow(0.9, step + 1));
                x[i] -= rate * m[i] / (Math.Sqrt(v[i] / (1 - Math.Pow(0.999, step + 1))) + 1e-8);
            }

            rule.AfterStep(Losses(At(x[0], x[1]).Losses));
        }

        double[] Losses(double[] f) => positive ? [f[0] - ToyProblem.Minima[0] + Shift, f[1] - ToyProblem.Minima[1] + Shift] : f;
    }

    [Theory]
    [InlineData("fixed_half")]
    [InlineData("dto_closed_form")]
    [InlineData("dto_amortised_literal")]
    [InlineData("dto_amortised_logits")]
    [InlineData("famo_g.01")]
    public void Distilling_a_small_network(string method)
    {
        // Columns L_distill L_task π_distill π_task, G11 G12 G22 of the log-gradients, ‖g‖ before clipping.
        double[][] rows = BalanceFixture.Rows($"kd.{(method == "famo_g.01" ? "famo" : method)}.trace");
        var rule = Rules[method]();
        double shift = method == "famo_g.01" ? Shift : 0;
        for (int step = 0; step < rows.Length; step++)
        {
            double[] row = rows[step];
            double a = row[0], b = row[1];
            double[] gram = [row[4] * a * a, row[5] * a * b, row[5] * a * b, row[6] * b * b];
            var signals = new StepSignals([a + shift, b + shift], gram);
            var weights = rule.Weigh(signals);
            Assert.Equal(row[2], weights.Pi[0], 1e-10);
            Assert.Equal(row[3], weights.Pi[1], 1e-10);
            Assert.Equal(row[7], TradeOffDiagnostics.Measure(signals, weights, 1).MixedNorm, 1e-8 * row[7]);
            if (step + 1 < rows.Length)
                rule.AfterStep([rows[step + 1][0] + shift, rows[step + 1][1] + shift]);
        }
    }

    [Fact]
    public void Raw_gradients_of_the_small_network_give_the_recorded_min_norm_weights()
    {
        foreach (double[] row in BalanceFixture.Rows("kd.mgda_raw.trace"))
        {
            double a = row[0], b = row[1];
            var signals = new StepSignals([a, b], [row[4] * a * a, row[5] * a * b, row[5] * a * b, row[6] * b * b]);
            var weights = new Mgda(2).Weigh(signals);
            Assert.Equal(row[2], weights.Pi[0], 1e-10);
            Assert.Equal(row[7], TradeOffDiagnostics.Measure(signals, weights, 1).MixedNorm, 1e-8 * row[7]);
        }
    }

    private static (double[] Losses, Gradients Gradients) At(double x1, double x2)
    {
        double[] f = new double[2], jacobian = new double[4];
        ToyProblem.Values(x1, x2, f);
        ToyProblem.Jacobian(x1, x2, jacobian);
        return (f, new Gradients(jacobian[..2], jacobian[2..]));
    }
}
