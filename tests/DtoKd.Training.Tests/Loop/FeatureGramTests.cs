using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models;
using DtoKd.Training.Balancing;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Tests.Loop;

/// <summary>The Gram matrix at the representation against that of the parameters, for z = x Wᵀ.</summary>
public sealed class FeatureGramTests : IDisposable
{
    private readonly CpuDevice _device = new(2);
    private readonly ParameterArena _arena;
    private readonly Parameter _weight;

    public FeatureGramTests()
    {
        _arena = new ParameterArena(_device);
        _weight = _arena.Root.Parameter("weight", [4, 3], Init.TruncatedNormalOf(1));
        _arena.Seal(seed: 5);
    }

    public void Dispose()
    {
        _arena.Dispose();
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Fact]
    public void Where_the_Jacobian_is_orthogonal_it_is_the_Gram_matrix_of_the_parameters_and_the_weights_agree()
    {
        // ⟨∂L_i/∂W, ∂L_j/∂W⟩ = Σ_nm ⟨z'_in, z'_jm⟩ ⟨x_n, x_m⟩: for orthonormal inputs the inner product at z.
        var (features, parameters) = Compare([0.6f, 0.8f, 0, -0.8f, 0.6f, 0, 0, 0, 1]);
        for (int i = 0; i < features.Length; i++)
            Assert.Equal(parameters[i], features[i], 1e-6 * parameters.Max());
        double[] losses = [0.5, 1.5];
        var exact = new DtoExact(2).Weigh(new StepSignals(losses, parameters)).Pi.ToArray();
        var onFeatures = new DtoFeatures(2).Weigh(new StepSignals(losses, features)).Pi.ToArray();
        Assert.InRange(exact[0], 0.01, 0.99);
        Assert.Equal(exact[0], onFeatures[0], 1e-5);
    }

    [Fact]
    public void Where_it_is_not_the_two_differ()
    {
        var (features, parameters) = Compare([1, 0, 0, 0.9f, 0.1f, 0, 0.8f, 0, 0.3f]);
        Assert.Contains(Enumerable.Range(0, 4), i => Math.Abs(features[i] - parameters[i]) > 0.05 * parameters.Max());
    }

    private (double[] Features, double[] Parameters) Compare(float[] inputs)
    {
        using var first = new GradStore(_arena);
        using var second = new GradStore(_arena);
        using var step = Step.Training(_device);
        var z = Op.Linear(step.From(inputs, [3, 3]), _weight.Value, null);
        // The second one reaches a row only: its gradient has no entries elsewhere.
        var losses = new TaskLosses([Op.Mean(Op.Square(z)), Op.Sum(Op.Tanh(Op.Slice(z, 0, 1, 2)))], [z]);
        double[] features = new double[4], parameters = new double[4];
        using var readings = new Readings(_device);
        foreach (var products in FeatureProducts.Take(readings, step, losses, share: 1))
            products.AddTo(readings, features, objectives: 2);
        step.Tape.Backward(losses.Values[0], first, retain: true);
        step.Tape.Backward(losses.Values[1], second);
        Flat.Gram([first.Flat, second.Flat], [new FlatRange(0, first.Flat.Count)], parameters);
        return (features, parameters);
    }
}
