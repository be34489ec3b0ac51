using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// Steps of one size in the direction of the momentum's sign (Chen et al. 2023), with weight decay apart from the gradient. Its
/// state is half of Adam's. Learning rates are three to ten times smaller than AdamW's, decays as much larger.
/// </summary>
public sealed class Lion : Optimiser
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.99;

    private readonly double _weightDecay;
    private readonly Tensor _momentum;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="weightDecay">The decay, multiplied by the learning rate at each step.</param>
    public Lion(ParameterArena arena, double weightDecay)
        : base(arena)
    {
        _weightDecay = weightDecay;
        _momentum = AddMoment("momentum");
    }

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays) => Flat.Lion(
        Arena.Flat, gradient, scale, _momentum, range, new LionStep(learningRate, Beta1, Beta2, decays ? _weightDecay : 0));
}
