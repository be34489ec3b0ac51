using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class LearnedScalesTests
{
    /// <summary>The rules, with what their coefficient times the loss is in rest.</summary>
    public static TheoryData<string, double> Rules => new() { { "imtl-l", 1 }, { "uncertainty", 0.5 } };

    [Theory]
    [MemberData(nameof(Rules))]
    public void Scales_come_to_rest_at_the_inverse_of_their_loss(string rule, double product)
    {
        double[] losses = [0.25, 8];
        var coefficients = After(6000, rule, losses);
        for (int k = 0; k < losses.Length; k++)
            Assert.Equal(product, coefficients[k] * losses[k], product * 1e-3);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_loss_that_is_not_positive_does_not_drive_its_scale_without_end(string rule, double product)
    {
        foreach (double loss in new[] { 0.0, -0.5 })
        {
            // By then the scale would be beyond a float's range: e^(0.025 * 6000).
            var coefficients = After(6000, rule, [loss, 1]);
            Assert.Equal(product, coefficients[0] * LossFloor.Default, product * 0.1);
            Assert.Equal(product, coefficients[1], product * 1e-3);
        }
    }

    private static double[] After(int steps, string rule, double[] losses)
    {
        var balancer = BalancerRegistry.Create(rule, new BalancerOptions { Objectives = losses.Length, Task = 0 });
        for (int step = 0; step < steps; step++)
            balancer.Weigh(new StepSignals(losses));
        var weights = balancer.Weigh(new StepSignals(losses));
        Assert.Equal(Array.ConvertAll(losses, loss => loss < LossFloor.Default), weights.Floored.ToArray());
        return weights.Coefficients.ToArray();
    }
}
