using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class FixedWeightsTests
{
    [Fact]
    public void Weights_multiply_the_raw_gradients_whatever_the_losses()
    {
        var rule = new FixedWeights([0.25, -2]);
        foreach (double loss in new[] { 3.0, 0, -5 })
        {
            var weights = rule.Weigh(new StepSignals([loss, 1]));
            Assert.Equal([0.25, -2], weights.Coefficients.ToArray());
            Assert.Equal([0.25, -2], weights.Pi.ToArray());
            Assert.False(weights.Clamped || weights.Floored[0] || weights.Dropped[0]);
        }
        Assert.Equal(BalancerNeeds.None, rule.Needs);
    }

    [Fact]
    public void Without_distillation_only_the_task_counts()
    {
        var rule = FixedWeights.TaskOnly(3, task: 1);
        Assert.Equal([0.0, 1.0, 0.0], rule.Weigh(new StepSignals([1, 2, 3])).Coefficients.ToArray());
        Assert.Equal("none", rule.Name);
        Assert.Throws<ArgumentOutOfRangeException>(() => FixedWeights.TaskOnly(3, task: 3));
    }

    [Fact]
    public void A_weight_that_is_not_finite_is_refused() =>
        Assert.Throws<ArgumentException>(() => new FixedWeights([1, double.NaN]));
}
