using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class TradeOffDiagnosticsTests
{
    private static TradeOffDiagnostics Measure(Balancer rule, Gradients g, params double[] losses)
    {
        var signals = new StepSignals(losses, g.Gram());
        return TradeOffDiagnostics.Measure(signals, rule.Weigh(signals), task: 1);
    }

    [Fact]
    public void Measures_angle_lengths_and_the_mixed_gradient()
    {
        var g = new Gradients([3, 0], [-4, 4]);
        var step = Measure(new FixedWeights([0.5, 0.25]), g, 2, 8);
        Assert.Equal(-Math.Sqrt(0.5), step.Cosine(0, 1), 1e-15);
        Assert.Equal(step.Cosine(0, 1), step.Cosine(1, 0));
        Assert.Equal(1, step.Cosine(1, 1), 1e-15);
        Assert.Equal(3 / (4 * Math.Sqrt(2)), step.NormRatio[0], 1e-15);
        Assert.Equal(1, step.NormRatio[1], 1e-15);
        Assert.Equal(4 * step.NormRatio[0], step.LogNormRatio[0], 1e-14); // L_task/L_distill = 4
        Assert.Equal(Gradients.Norm([1.5 - 1, 1]), step.MixedNorm, 1e-15);
        Assert.True(step.Conflict);
        Assert.False(step.Clamped);
        Assert.Equal([0.5, 0.25], step.Pi);
    }

    [Fact]
    public void Norm_of_the_exact_rule_is_that_of_the_mixture_of_log_gradients()
    {
        // Log-gradients (1, 0) and (−1, 1): ‖g*‖ = √0.2.
        var step = Measure(new DtoExact(2), new Gradients([2, 0], [-8, 8]), 2, 8);
        Assert.Equal(Math.Sqrt(0.2), step.MixedNorm, 1e-15);
    }

    [Fact]
    public void Says_clamped_dropped_and_floored()
    {
        Assert.True(Measure(new DtoExact(2), new Gradients([1, 0], [3, 1]), 1, 1).Clamped);
        var step = Measure(new DtoExact(2), new Gradients([0, 0], [3, 1]), 0, 1);
        Assert.Equal([0], step.Dropped);
        Assert.Equal([0], step.Floored);
        Assert.False(step.Clamped);
        Assert.True(double.IsNaN(step.Cosine(0, 1)));
        Assert.True(double.IsNaN(step.LogNormRatio[0]));
        Assert.Equal(0, step.NormRatio[0]);
    }

    [Fact]
    public void Without_a_Gram_matrix_the_geometry_is_unknown()
    {
        var signals = new StepSignals([1, 2]);
        var step = TradeOffDiagnostics.Measure(signals, new DtoAmortised(2, AmortisedReading.Logits).Weigh(signals), 1);
        Assert.False(step.HasGram);
        Assert.Null(step.Conflict);
        Assert.True(double.IsNaN(step.Cosine(0, 1)) && double.IsNaN(step.NormRatio[0]) && double.IsNaN(step.MixedNorm));
        Assert.Equal([1.0, 2.0], step.Losses);
    }

    [Fact]
    public void Conflict_between_any_pair_counts()
    {
        var fixedWeights = new FixedWeights([1, 1, 1]);
        Assert.True(Measure(fixedWeights, new Gradients([1, 0, 0], [0, 1, 0], [-0.1, 1, 1]), 1, 1, 1).Conflict);
        Assert.False(Measure(fixedWeights, new Gradients([1, 0, 0], [0, 1, 0], [0.1, 1, 1]), 1, 1, 1).Conflict);
    }

    [Fact]
    public void A_record_is_not_overwritten_by_the_next_step()
    {
        var rule = new DtoAmortised(2, AmortisedReading.Logits);
        var signals = new StepSignals([0.5, 3]);
        var first = TradeOffDiagnostics.Measure(signals, rule.Weigh(signals), 1);
        rule.Weigh(signals);
        Assert.Equal(0.5, first.Pi[0]);
    }

    [Fact]
    public void Tally_gives_shares_and_survives_a_resume()
    {
        var exact = new DtoExact(2);
        var tally = new TradeOffTally();
        Assert.True(double.IsNaN(tally.ConflictShare));
        tally.Add(Measure(exact, new Gradients([1, 0], [-1, 1]), 1, 1)); // conflict
        tally.Add(Measure(exact, new Gradients([1, 0], [3, 1]), 1, 1)); // clamped
        tally.Add(Measure(exact, new Gradients([1, 0], [0, 0]), 1, 0)); // dropped, floored
        var blind = new StepSignals([1, 1]);
        tally.Add(TradeOffDiagnostics.Measure(blind, new FixedWeights([1, 1]).Weigh(blind), 1));

        var resumed = new TradeOffTally();
        resumed.LoadState(tally.SaveState());
        foreach (var t in new[] { tally, resumed })
        {
            Assert.Equal((4, 3), (t.Steps, t.StepsWithGram));
            Assert.Equal(1 / 3.0, t.ConflictShare);
            Assert.Equal(0.25, t.ClampedShare);
            Assert.Equal((1, 1), (t.Drops, t.Floors));
        }
        Assert.Throws<InvalidDataException>(() => resumed.LoadState(new Dictionary<string, double[]>()));
    }
}
