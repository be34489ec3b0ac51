using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

public sealed class ModelCostTests
{
    // Giga multiply-adds as published: DeiT and ViT with both products of attention, Swin in Liu et al. 2021 table 1, RegNetY in
    // pycls' model zoo, ResNet-20 in the CIFAR-10 literature.
    [Theory]
    [InlineData("deit_tiny_patch16_224", 1.26)]
    [InlineData("deit_small_patch16_224", 4.6)]
    [InlineData("deit_base_patch16_224", 17.6)]
    [InlineData("swin_tiny_patch4_window7_224", 4.5)]
    [InlineData("swin_small_patch4_window7_224", 8.7)]
    [InlineData("swin_base_patch4_window7_224", 15.4)]
    [InlineData("regnety_040", 4.0)]
    [InlineData("regnety_080", 8.0)]
    [InlineData("regnety_120", 12.1)]
    [InlineData("regnety_160", 15.96)]
    [InlineData("regnety_320", 32.3)]
    [InlineData("resnet20", 0.041)]
    public void Multiply_adds_are_the_published_ones(string name, double giga)
    {
        double measured = ModelCost.Of(Zoo.Find(name)).MultiplyAdds / 1e9;
        Assert.InRange(measured, 0.98 * giga, 1.02 * giga);
    }

    // 16 tokens of 32 and one more, heads of 16: what a page of arithmetic says.
    [Fact]
    public void A_transformer_costs_what_its_formula_says()
    {
        const int Tokens = 17, Size = 32, Classes = 10;
        var entry = new ZooEntry("one block", "", (scope, spec, _) => new DeiT(scope, spec, new DeiTConfig(4, Size, 1, 2)))
        {
            Native = new ImageSpec(3, 16, 16, Classes),
        };
        const long Patches = 16L * 3 * 4 * 4 * Size;
        const long Linear = Tokens * 12L * Size * Size;
        const long Attention = 2L * Tokens * Tokens * Size;
        Assert.Equal(Patches + Linear + Attention + (Size * Classes), ModelCost.Of(entry).MultiplyAdds);
    }

    [Theory]
    [InlineData("deit_micro_distilled")]
    [InlineData("swin_micro")]
    [InlineData("regnety_micro")]
    [InlineData("resnet20")]
    [InlineData("shuffle_v1")]
    public void A_real_step_costs_what_was_planned(string name)
    {
        var entry = Zoo.Find(name);
        var spec = entry.Native;
        using var device = new CpuDevice(2);
        using var arena = new ParameterArena(device);
        var model = Zoo.Create(name, arena.Root, spec);
        arena.Seal(seed: 1);
        using var step = Step.Training(device);
        var output = model.Forward(step.Full([2, spec.Channels, spec.Height, spec.Width], 0.5), withFeatures: true);
        var planned = ModelCost.Of(entry);
        Assert.Equal(planned.MultiplyAdds, step.Tape.MultiplyAdds / 2);
        Assert.Equal(planned.ActivationBytes, step.Tape.SavedBytes / 2);
        Assert.True(device.Pool.LiveBytes > step.Tape.SavedBytes, "the tape's memory is part of the pool's");
        using var store = new GradStore(arena);
        step.Tape.Backward(Op.Sum(output.Prediction), store);
        Assert.Equal(0, step.Tape.SavedBytes);
    }

    [Fact]
    public void Every_network_of_the_zoo_has_a_cost() => Assert.All(Zoo.Entries, entry =>
    {
        var cost = ModelCost.Of(entry);
        Assert.True(cost.MultiplyAdds > cost.Parameters / 10 && cost.ActivationBytes > 0, entry.Name);
    });
}
