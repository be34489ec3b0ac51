using DtoKd.Training.Balancing;
using FsCheck;
using FsCheck.Fluent;

namespace DtoKd.Training.Tests.Balancing;

public class DtoExactTests
{
    [Fact]
    public void Weighs_the_gradients_of_the_logarithms()
    {
        // ∇L1 = (3, 0) at L1 = 3, ∇L2 = (0, 1) at L2 = ½: log-gradients (1, 0) and (0, 2), whose weights are 0.8 and 0.2.
        var weights = new DtoExact(2).Weigh(new StepSignals([3, 0.5], [9, 0, 0, 1]));
        Assert.Equal(0.8, weights.Pi[0], 1e-15);
        Assert.Equal(0.2, weights.Pi[1], 1e-15);
        Assert.Equal(0.8 / 3, weights.Coefficients[0], 1e-15);
        Assert.Equal(0.2 / 0.5, weights.Coefficients[1], 1e-15);
        Assert.False(weights.Clamped);
    }

    [Fact]
    public void Reports_weights_at_the_boundary_as_clamped()
    {
        var weights = new DtoExact(2).Weigh(new StepSignals([1, 1], new Gradients([1, 0], [3, 1]).Gram()));
        Assert.Equal([1.0, 0.0], weights.Pi.ToArray());
        Assert.True(weights.Clamped);
        Assert.False(weights.Dropped[1]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1e-9)]
    public void A_vanished_gradient_is_dropped_instead_of_stopping_the_step(double length)
    {
        var g = new Gradients([length, 0], [1, 0], [0, 2]);
        var weights = new DtoExact(3).Weigh(new StepSignals([1, 1, 1], g.Gram()));
        Assert.Equal([true, false, false], weights.Dropped.ToArray());
        Assert.Equal(0, weights.Pi[0]);
        Assert.Equal(0.8, weights.Pi[1], 1e-15);
        Assert.Equal(0.2, weights.Pi[2], 1e-15);
        Assert.False(weights.Clamped);
    }

    [Fact]
    public void A_gradient_a_thousand_times_shorter_still_takes_part()
    {
        var weights = new DtoExact(2).Weigh(new StepSignals([1, 1], [1e-6, 0, 0, 1]));
        Assert.False(weights.Dropped[0]);
        Assert.Equal(1 / (1 + 1e-6), weights.Pi[0], 1e-15);
    }

    [Fact]
    public void Vanishing_is_judged_on_the_logarithm_not_on_the_raw_gradient()
    {
        // ‖∇L1‖ is a ten-millionth of ‖∇L2‖, but L1 is small too: the log-gradients are as long as each other.
        var weights = new DtoExact(2).Weigh(new StepSignals([1e-7, 1], [1e-14, 0, 0, 1]));
        Assert.False(weights.Dropped[0]);
        Assert.Equal(0.5, weights.Pi[0], 1e-12);
    }

    [Fact]
    public void With_every_gradient_zero_the_weights_are_even_and_nothing_is_dropped()
    {
        var weights = new DtoExact(2).Weigh(new StepSignals([1, 2], new double[4]));
        Assert.Equal([0.5, 0.5], weights.Pi.ToArray());
        Assert.Equal([false, false], weights.Dropped.ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-3)]
    [InlineData(1e-12)]
    public void A_loss_below_the_floor_is_taken_as_the_floor_and_reported(double loss)
    {
        var weights = new DtoExact(2, lossFloor: 1e-4).Weigh(new StepSignals([loss, 1], [1e-8, 0, 0, 1]));
        Assert.Equal([true, false], weights.Floored.ToArray());
        // The log-gradient is 1e-4/1e-4 = 1 long, like the other.
        Assert.Equal(0.5, weights.Pi[0], 1e-12);
        Assert.Equal(0.5 / 1e-4, weights.Coefficients[0], 1e-7);
    }

    [Fact]
    public void Flags_do_not_outlive_their_step()
    {
        var rule = new DtoExact(2);
        rule.Weigh(new StepSignals([0, 1], [0, 0, 0, 1]));
        var weights = rule.Weigh(new StepSignals([1, 1], [1, 0, 0, 1]));
        Assert.Equal([false, false], weights.Floored.ToArray());
        Assert.Equal([false, false], weights.Dropped.ToArray());
        Assert.False(weights.Clamped);
    }

    [Fact]
    public void Multiplying_a_loss_by_a_constant_changes_no_weight()
    {
        int inside = 0;
        var draws = from rows in Gen.Choose(-1000, 1000).Select(i => i / 64.0).ArrayOf(5).ArrayOf(3)
                    from losses in Gen.Choose(1, 4000).Select(i => i / 256.0).ArrayOf(3)
                    from powers in Gen.Choose(-8, 8).ArrayOf(3)
                    select (Rows: rows, Losses: losses, Factors: powers.Select(p => Math.Pow(2, p)).ToArray());
        Prop.ForAll(draws.ToArbitrary(), draw =>
        {
            var g = new Gradients(draw.Rows);
            var before = new DtoExact(3).Weigh(new StepSignals(draw.Losses, g.Gram()));
            var scaled = g.Select((row, k) => [.. row.Select(x => x * draw.Factors[k])]);
            double[] scaledLosses = [.. draw.Losses.Zip(draw.Factors, (l, f) => l * f)];
            var after = new DtoExact(3).Weigh(new StepSignals(scaledLosses, scaled.Gram()));
            // Powers of two do not round, so not a bit may differ.
            Assert.Equal(before.Pi.ToArray(), after.Pi.ToArray());
            for (int k = 0; k < 3; k++)
                Assert.Equal(before.Coefficients[k], after.Coefficients[k] * draw.Factors[k]);
            inside += before.Clamped ? 0 : 1;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500).WithQuietOnSuccess(true));
        Assert.InRange(inside, 50, 500);
    }

    [Fact]
    public void Mixed_gradient_improves_every_objective_at_least_as_much_as_its_squared_norm()
    {
        var g = new Gradients([2, 1, 0], [-1, 1, 0.5], [0, -0.5, 1]);
        double[] losses = [0.5, 2, 7];
        double[] mixed = g.Mix(new DtoExact(3).Weigh(new StepSignals(losses, g.Gram())).Coefficients);
        for (int k = 0; k < 3; k++)
            Assert.True(Gradients.Dot(mixed, g[k]) / losses[k] >= Gradients.Dot(mixed, mixed) - 1e-14);
    }

    [Fact]
    public void Needs_the_Gram_matrix_and_says_so()
    {
        var rule = new DtoExact(2);
        Assert.Equal(BalancerNeeds.Gram, rule.Needs);
        Assert.Throws<ArgumentException>(() => rule.Weigh(new StepSignals([1, 1])));
        Assert.Throws<ArgumentException>(() => rule.Weigh(new StepSignals([1, 1], [1])));
        Assert.Throws<ArgumentException>(() => rule.Weigh(new StepSignals([1, 1, 1], new double[9])));
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Names_the_objective_that_is_not_finite(double bad)
    {
        var rule = new DtoExact(2);
        var loss = Assert.Throws<NonFiniteSignalException>(() => rule.Weigh(new StepSignals([1, bad], [1, 0, 0, 1])));
        Assert.Equal(1, loss.Objective);
        Assert.Contains("loss before the step of objective 1", loss.Message, StringComparison.Ordinal);
        // The inner product is bad because gradient 1 is, and that is the one to name.
        var gradient = Assert.Throws<NonFiniteSignalException>(
            () => rule.Weigh(new StepSignals([1, 1], [1, bad, bad, bad])));
        Assert.Equal(1, gradient.Objective);
    }
}
