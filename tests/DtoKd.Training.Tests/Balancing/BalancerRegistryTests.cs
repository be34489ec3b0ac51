using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class BalancerRegistryTests
{
    private static readonly BalancerOptions Three = new() { Objectives = 3, Task = 1 };

    [Fact]
    public void Knows_the_rules_the_program_offers() =>
        Assert.Equal(
            [
                "aligned-mtl", "amortised", "amortised-famo", "amortised-literal", "amortised-logits", "cagrad", "dwa", "exact", "exact-features", "famo",
                "fixed", "gradnorm", "imtl-g", "imtl-l", "mgda", "mgda-l2", "mgda-loss", "mgda-loss+", "nash-mtl", "none", "pcgrad",
                "rlw", "uncertainty",
            ],
            BalancerRegistry.Entries.Select(e => e.Name).Order(StringComparer.Ordinal));

    [Fact]
    public void Every_rule_weighs_and_has_a_line_of_help()
    {
        foreach (var entry in BalancerRegistry.Entries)
        {
            var rule = BalancerRegistry.Create(entry.Name, Three);
            Assert.Equal(3, rule.Objectives);
            var weights = rule.Weigh(new StepSignals([1, 2, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1]));
            Assert.All(weights.Pi.ToArray(), pi => Assert.InRange(pi, 0, 3));
            Assert.True(weights.Pi.ToArray().Sum() > 0.9);
            Assert.InRange(entry.Summary.Length, 10, 100);
            Assert.DoesNotContain('\n', entry.Summary);
            rule.LoadState(rule.SaveState());
        }
    }

    [Fact]
    public void Amortised_means_the_logits_reading_and_says_so() =>
        Assert.Equal("amortised-logits", BalancerRegistry.Create("Amortised", Three).Name);

    [Fact]
    public void None_keeps_the_task_and_fixed_is_even_unless_told()
    {
        Assert.Equal([0.0, 1.0, 0.0], ((FixedWeights)BalancerRegistry.Create("none", Three)).Alpha.ToArray());
        Assert.All(((FixedWeights)BalancerRegistry.Create("fixed", Three)).Alpha.ToArray(), a => Assert.Equal(1 / 3.0, a));
        var given = Three with { Alpha = [1, 2, 3] };
        Assert.Equal([1.0, 2.0, 3.0], ((FixedWeights)BalancerRegistry.Create("fixed", given)).Alpha.ToArray());
        Assert.Throws<ArgumentException>(() => BalancerRegistry.Create("fixed", Three with { Alpha = [1, 2] }));
    }

    [Fact]
    public void An_unknown_name_gets_the_known_ones()
    {
        var error = Assert.Throws<ArgumentException>(() => BalancerRegistry.Create("best", Three));
        Assert.Contains("'best'", error.Message, StringComparison.Ordinal);
        Assert.All(BalancerRegistry.Entries, e => Assert.Contains(e.Name, error.Message, StringComparison.Ordinal));
    }
}
