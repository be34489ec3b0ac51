using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class DtoAmortisedTests
{
    private static readonly TradeOffSettings PlainSteps = new(TradeOffRule.Sgd);

    private static double[] Run(Balancer rule, int steps, params double[] losses)
    {
        for (int step = 0; step < steps; step++)
        {
            rule.Weigh(new StepSignals(losses));
            rule.AfterStep(losses);
        }
        return rule.Weigh(new StepSignals(losses)).Pi.ToArray();
    }

    [Theory]
    [InlineData(AmortisedReading.Literal)]
    [InlineData(AmortisedReading.Logits)]
    [InlineData(AmortisedReading.Famo)]
    public void Starts_even_for_any_number_of_objectives(AmortisedReading reading)
    {
        for (int k = 1; k <= 5; k++)
        {
            double[] losses = [.. Enumerable.Range(1, k).Select(i => (double)i * i)];
            var weights = new DtoAmortised(k, reading).Weigh(new StepSignals(losses));
            Assert.All(weights.Pi.ToArray(), p => Assert.Equal(1.0 / k, p, 1e-15));
        }
    }

    [Theory]
    [InlineData(AmortisedReading.Literal)]
    [InlineData(AmortisedReading.Logits)]
    public void Coefficients_divide_by_the_loss(AmortisedReading reading)
    {
        var weights = new DtoAmortised(2, reading).Weigh(new StepSignals([4, 0.25]));
        Assert.Equal([0.125, 2.0], weights.Coefficients.ToArray());
    }

    // Where gradient descent at 0.025 with decay 0.01 is after 20 000 steps at constant losses; from a separate simulation.
    [Theory]
    [InlineData(3, 6, 0.976)]
    [InlineData(0.01, 0.02, 0.009)]
    [InlineData(0.05, 6.9, 0.392)]
    [InlineData(2, 0.5, 0.5)]
    public void Logits_settle_where_the_proxy_is_least(double distill, double task, double expected)
    {
        double[] pi = Run(new DtoAmortised(2, AmortisedReading.Logits, PlainSteps), 20000, distill, task);
        Assert.Equal(expected, pi[0], 1e-3);
        Assert.Equal(1 - expected, pi[1], 1e-3);
    }

    // The paper's AdamW at constant losses; from a separate simulation.
    [Theory]
    [InlineData(0.8, 12, 50, 0.85)]
    [InlineData(0.8, 12, 20000, 0.917)]
    [InlineData(3, 12, 200, 0.98)]
    [InlineData(3, 12, 20000, 0.999)]
    public void Logits_under_AdamW_favour_the_loss_nearest_to_one(double distill, double task, int steps, double expected)
    {
        double[] pi = Run(new DtoAmortised(2, AmortisedReading.Logits), steps, distill, task);
        Assert.Equal(expected, pi[0], 6e-3);
    }

    [Fact]
    public void Logits_step_downhill_on_the_squared_proxy()
    {
        // One plain step from even weights equals −lr times the difference quotient of ½(Σ softmax(w)_k ℓ_k)².
        double[] losses = [0.3, 5, 2];
        double Proxy(double[] w)
        {
            double sum = w.Sum(Math.Exp);
            return 0.5 * Math.Pow(w.Zip(losses, (x, l) => Math.Exp(x) / sum * Math.Log(l)).Sum(), 2);
        }
        var rule = new DtoAmortised(3, AmortisedReading.Logits, new TradeOffSettings(TradeOffRule.Sgd, 1, 0));
        rule.Weigh(new StepSignals(losses));
        double[] moved = rule.SaveState()["logits"];
        for (int k = 0; k < 3; k++)
        {
            double[] up = new double[3], down = new double[3];
            up[k] = 1e-5;
            down[k] = -1e-5;
            Assert.Equal(-(Proxy(up) - Proxy(down)) / 2e-5, moved[k], 1e-9);
        }
    }

    [Fact]
    public void The_literal_reading_stays_close_to_even()
    {
        foreach (double[] losses in new[] { new[] { 3, 6.0 }, [0.01, 0.02], [0.05, 6.9], [0.8, 12] })
        {
            var rule = new DtoAmortised(2, AmortisedReading.Literal, PlainSteps);
            for (int step = 0; step < 500; step++)
                Assert.InRange(rule.Weigh(new StepSignals(losses)).Pi[0], 0.45, 0.55);
        }
    }

    [Fact]
    public void Levels_are_not_scale_invariant_but_improvements_are()
    {
        static double[] Trained(AmortisedReading reading, double factor)
        {
            var rule = new DtoAmortised(2, reading);
            for (int step = 0; step < 30; step++)
            {
                double distill = factor * Math.Exp(-0.01 * step), task = 2 * Math.Exp(-0.03 * step);
                rule.Weigh(new StepSignals([distill, task]));
                rule.AfterStep([distill * Math.Exp(-0.01), task * Math.Exp(-0.03)]);
            }
            return rule.Weigh(new StepSignals([factor, 2])).Pi.ToArray();
        }
        Assert.NotEqual(Trained(AmortisedReading.Logits, 1)[0], Trained(AmortisedReading.Logits, 100)[0], 1e-2);
        double[] one = Trained(AmortisedReading.Famo, 1), hundred = Trained(AmortisedReading.Famo, 100);
        Assert.Equal(one[0], hundred[0], 1e-9);
        Assert.True(one[0] > 0.6); // the distillation loss improved least and gained weight
    }

    [Fact]
    public void Famo_moves_weight_away_from_the_loss_that_improved_most()
    {
        var rule = new DtoAmortised(3, AmortisedReading.Famo);
        rule.Weigh(new StepSignals([1, 1, 1]));
        rule.AfterStep([0.5, 0.9, 1.2]);
        double[] pi = rule.Weigh(new StepSignals([1, 1, 1])).Pi.ToArray();
        Assert.True(pi[0] < 1.0 / 3);
        Assert.True(pi[2] > 1.0 / 3);
    }

    [Fact]
    public void Famo_coefficients_sum_to_one()
    {
        // z = (½, ½), c = ½/4 + ½/¼ = 2.125: coefficients 0.125/2.125 and 2/2.125.
        var weights = new DtoAmortised(2, AmortisedReading.Famo).Weigh(new StepSignals([4, 0.25]));
        Assert.Equal(1 / 17.0, weights.Coefficients[0], 1e-15);
        Assert.Equal(16 / 17.0, weights.Coefficients[1], 1e-15);
    }

    [Fact]
    public void Only_Famo_asks_for_the_losses_after_the_step()
    {
        Assert.Equal(BalancerNeeds.None, new DtoAmortised(2, AmortisedReading.Literal).Needs);
        Assert.Equal(BalancerNeeds.None, new DtoAmortised(2, AmortisedReading.Logits).Needs);
        Assert.Equal(BalancerNeeds.LossesAfterStep, new DtoAmortised(2, AmortisedReading.Famo).Needs);
    }

    [Fact]
    public void Losses_after_a_step_that_was_not_weighed_are_refused()
    {
        var rule = new DtoAmortised(2, AmortisedReading.Famo);
        Assert.Throws<InvalidOperationException>(() => rule.AfterStep([1, 1]));
        rule.Weigh(new StepSignals([1, 1]));
        rule.AfterStep([1, 1]);
        Assert.Throws<InvalidOperationException>(() => rule.AfterStep([1, 1]));
    }

    [Fact]
    public void A_loss_that_is_not_finite_leaves_the_state_as_it_was()
    {
        foreach (var reading in Enum.GetValues<AmortisedReading>())
        {
            var rule = new DtoAmortised(2, reading);
            Run(rule, 3, 0.5, 3);
            var before = rule.SaveState();
            Assert.Equal(0, Assert.Throws<NonFiniteSignalException>(
                () => rule.Weigh(new StepSignals([double.NaN, 1]))).Objective);
            if (rule.Needs.HasFlag(BalancerNeeds.LossesAfterStep))
                Assert.Throws<NonFiniteSignalException>(() => rule.AfterStep([1, double.PositiveInfinity]));
            Assert.Equal(before, rule.SaveState());
        }
    }

    [Theory]
    [InlineData(AmortisedReading.Literal)]
    [InlineData(AmortisedReading.Logits)]
    [InlineData(AmortisedReading.Famo)]
    public void A_zero_loss_gives_finite_weights_and_is_reported(AmortisedReading reading)
    {
        var rule = new DtoAmortised(2, reading);
        for (int step = 0; step < 20; step++)
        {
            var weights = rule.Weigh(new StepSignals([0, 1]));
            Assert.Equal([true, false], weights.Floored.ToArray());
            Assert.All(weights.Coefficients.ToArray(), c => Assert.True(double.IsFinite(c)));
            rule.AfterStep([0, 0.9]);
        }
    }

    [Theory]
    [InlineData(AmortisedReading.Literal, TradeOffRule.AdamW)]
    [InlineData(AmortisedReading.Logits, TradeOffRule.AdamW)]
    [InlineData(AmortisedReading.Famo, TradeOffRule.AdamW)]
    [InlineData(AmortisedReading.Famo, TradeOffRule.Adam)]
    public void Resumed_from_its_state_it_continues_to_the_last_bit(AmortisedReading reading, TradeOffRule optimiser)
    {
        DtoAmortised Make() => new(3, reading, new TradeOffSettings(optimiser));
        static double[] Losses(int step) => [3 * Math.Exp(-0.02 * step), 0.4 + 0.3 * Math.Sin(step), 2 / (1 + 0.1 * step)];
        void Steps(Balancer rule, int from, int to, List<double[]> seen)
        {
            for (int step = from; step < to; step++)
            {
                seen.Add(rule.Weigh(new StepSignals(Losses(step))).Coefficients.ToArray());
                rule.AfterStep(Losses(step + 1));
            }
        }
        List<double[]> whole = [], parts = [];
        Steps(Make(), 0, 40, whole);
        var first = Make();
        Steps(first, 0, 17, parts);
        var second = Make();
        second.LoadState(first.SaveState());
        Steps(second, 17, 40, parts);
        Assert.Equal(whole, parts);
        Assert.NotEqual(whole[0], whole[39]);
    }

    [Fact]
    public void Refuses_the_state_of_another_reading_and_keeps_its_own()
    {
        var rule = new DtoAmortised(2, AmortisedReading.Logits);
        Run(rule, 3, 0.5, 3);
        var before = rule.SaveState();
        var other = new DtoAmortised(2, AmortisedReading.Literal).SaveState();
        var longer = new DtoAmortised(3, AmortisedReading.Logits).SaveState();
        var extra = new Dictionary<string, double[]>(before) { ["surplus"] = [1] };
        var broken = new Dictionary<string, double[]>(before) { ["logits"] = [0, double.NaN] };
        foreach (var (state, named) in new[] { (other, "logits"), (longer, "logits"), (extra, "surplus"), (broken, "logits") })
        {
            var error = Assert.Throws<InvalidDataException>(() => rule.LoadState(state));
            Assert.Contains($"'{named}'", error.Message, StringComparison.Ordinal);
        }
        Assert.Equal(before, rule.SaveState());
    }

    [Fact]
    public void Says_which_reading_and_optimiser_run()
    {
        Assert.Equal(
            "amortised-famo (AdamW lr 0.025, wd 0.01; loss floor 1E-08)",
            new DtoAmortised(2, AmortisedReading.Famo).ToString());
        Assert.Equal("amortised-literal", new DtoAmortised(2, AmortisedReading.Literal).Name);
    }
}
