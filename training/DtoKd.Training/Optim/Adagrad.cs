using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// Gradients divided by the root of the sum of all their squares so far (Duchi, Hazan and Singer 2011). Weight decay is added to
/// the gradient.
/// </summary>
public sealed class Adagrad : Optimiser
{
    private const double Epsilon = 1e-10;

    private readonly double _weightDecay;
    private readonly Tensor _squares;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="weightDecay">Added to the gradient, times the weight.</param>
    public Adagrad(ParameterArena arena, double weightDecay = 0)
        : base(arena)
    {
        _weightDecay = weightDecay;
        _squares = AddMoment("squares");
    }

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays) =>
        Flat.Adagrad(
            Arena.Flat, gradient, scale, _squares, range, new AdagradStep(learningRate, Epsilon, decays ? _weightDecay : 0));
}
