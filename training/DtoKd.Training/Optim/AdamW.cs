using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).</summary>
public sealed class AdamW : Optimiser
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;

    private readonly double _weightDecay;
    private readonly Tensor _first;
    private readonly Tensor _second;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="weightDecay">The decay, multiplied by the learning rate at each step.</param>
    public AdamW(ParameterArena arena, double weightDecay)
        : base(arena)
    {
        _weightDecay = weightDecay;
        _first = AddMoment("first");
        _second = AddMoment("second");
    }

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays) =>
        Flat.Adam(
            Arena.Flat,
            gradient,
            scale,
            _first,
            _second,
            largest: null,
            range,
            new AdamStep(learningRate, Beta1, Beta2, Epsilon, decays ? _weightDecay : 0, Steps));
}
