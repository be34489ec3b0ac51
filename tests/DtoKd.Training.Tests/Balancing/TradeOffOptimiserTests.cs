using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class TradeOffOptimiserTests
{
    private static double Stepped(TradeOffRule rule, params double[] gradients)
    {
        double[] x = [2];
        var optimiser = new TradeOffOptimiser(1, new TradeOffSettings(rule, 0.1, 0.5));
        foreach (double gradient in gradients)
            optimiser.Step(x, [gradient]);
        return x[0];
    }

    // By hand, with rate 0.1 and decay 0.5 from x = 2. In the first step of Adam the bias correction leaves d/|d|.
    [Fact]
    public void Decay_is_apart_from_the_gradient_in_AdamW_and_inside_it_in_Adam()
    {
        Assert.Equal(2 - 0.1 * (3 + 0.5 * 2), Stepped(TradeOffRule.Sgd, 3), 1e-15);
        Assert.Equal(2 * (1 - 0.1 * 0.5) - 0.1, Stepped(TradeOffRule.AdamW, 3), 1e-8);
        Assert.Equal(2 - 0.1, Stepped(TradeOffRule.Adam, 3), 1e-8);
        Assert.Equal(2 * (1 - 0.1 * 0.5) + 0.1, Stepped(TradeOffRule.AdamW, -0.25), 1e-8);
        Assert.Equal(2 - 0.1, Stepped(TradeOffRule.Adam, -0.25), 1e-8); // the decay outweighs the gradient
    }

    [Fact]
    public void The_second_AdamW_step_weighs_both_gradients()
    {
        // m = 0.9·0.1·3 − 0.1·1 = 0.17, m̂ = 0.17/0.19; v = 0.999·0.001·9 + 0.001 = 0.009991, v̂ = 0.009991/0.001999.
        double first = 2 * 0.95 - 0.1;
        double expected = first * 0.95 - 0.1 * (0.17 / 0.19) / Math.Sqrt(0.009991 / 0.001999);
        Assert.Equal(expected, Stepped(TradeOffRule.AdamW, 3, -1), 1e-8);
    }

    [Fact]
    public void Settings_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new TradeOffOptimiser(2, new TradeOffSettings(LearningRate: -1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TradeOffOptimiser(2, new TradeOffSettings(WeightDecay: double.NaN)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TradeOffOptimiser(2, new TradeOffSettings((TradeOffRule)9)));
    }
}
