using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>
/// Recorded trajectories replayed: each balancer is shown the losses and gradients of every recorded step and must give the
/// weights and the mixed gradient that were recorded, its own state carried along.
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
        ["famo"] = () => new DtoAmortised(2, AmortisedReading.Famo, new(TradeOffRule.Adam, WeightDecay: 1e-5)),
        ["famo_g.01"] = () => new DtoAmortised(2, AmortisedReading.Famo, new(TradeOffRule.Adam)),
        ["fixed_half"] = () => new FixedWeights([0.5, 0.5]),
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

    [Theory]
    [MemberData(nameof(Toys))]
    public void Toy_of_two_objectives(string method, int start)
    {
        // Columns x1 x2 f1 f2 w1 w2 g1 g2; the minima are −2.1 and −21.
        double[][] rows = BalanceFixture.Rows($"toy.{method}.{start}");
        var rule = Rules[method]();
        double[] Losses(int step) => [rows[step][2] + 2.1 + Shift, rows[step][3] + 21 + Shift];
        for (int step = 0; step < rows.Length; step++)
        {
            double[] row = rows[step], losses = Losses(step);
            var g = ToyGradients(row[0], row[1]);
            var weights = rule.Weigh(new StepSignals(losses, g.Gram()));
            Assert.Equal(row[4], weights.Pi[0], 1e-9);
            Assert.Equal(row[5], weights.Pi[1], 1e-9);
            double[] mixed = g.Mix(weights.Coefficients);
            double size = g.Norm(0) / losses[0] + g.Norm(1) / losses[1] + g.Norm(0) + g.Norm(1);
            Assert.Equal(row[6], mixed[0], 1e-9 * size);
            Assert.Equal(row[7], mixed[1], 1e-9 * size);
            if (step + 1 < rows.Length)
                rule.AfterStep(Losses(step + 1));
        }
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
            var pi = new double[2];
            double square = MinNorm.Solve([row[4] * a * a, row[5] * a * b, row[5] * a * b, row[6] * b * b], pi);
            Assert.Equal(row[2], pi[0], 1e-10);
            Assert.Equal(row[7], Math.Sqrt(square), 1e-8 * row[7]);
        }
    }

    /// <summary>
    /// The gradients of the two-objective toy of the CAGrad and FAMO papers, first objective scaled by 0.1. Above x2 = 0 both are
    /// logarithms around two valleys, below it two parabolas; tanh(x2/2) fades between.
    /// </summary>
    private static Gradients ToyGradients(double x1, double x2)
    {
        double tanh = Math.Tanh(-x2), slope = 1 - tanh * tanh;
        var (f1, j1) = Valley(0.5 * (-x1 - 7) - tanh, slope);
        var (f2, j2) = Valley(0.5 * (-x1 + 3) + tanh + 2, -slope);
        double fade = Math.Tanh(0.5 * x2), fadeSlope = 0.5 * (1 - fade * fade);
        double bowl = 0.1 * (x2 + 8) * (x2 + 8);
        double q1 = ((x1 - 7) * (x1 - 7) + bowl) / 10 - 20, q2 = ((x1 + 7) * (x1 + 7) + bowl) / 10 - 20;
        double[] dq1 = [0.2 * (x1 - 7), 0.02 * (x2 + 8)], dq2 = [0.2 * (x1 + 7), 0.02 * (x2 + 8)];
        double[] Blend(double f, double[] j, double q, double[] dq) => fade > 0
            ? [j[0] * fade, j[1] * fade + f * fadeSlope]
            : [-dq[0] * fade, -dq[1] * fade - q * fadeSlope];
        return new Gradients([.. Blend(f1, j1, q1, dq1).Select(x => 0.1 * x)], Blend(f2, j2, q2, dq2));

        static (double F, double[] J) Valley(double u, double slope) => Math.Abs(u) > 5e-6
            ? (Math.Log(Math.Abs(u)) + 6, [-0.5 / u, slope / u])
            : (Math.Log(5e-6) + 6, [0, 0]);
    }
}
