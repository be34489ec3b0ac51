using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>Gradient descent with momentum; weight decay is added to the gradient.</summary>
public sealed class Sgd : Optimiser
{
    private readonly double _momentum;
    private readonly double _weightDecay;
    private readonly bool _nesterov;
    private readonly Tensor _velocity;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="momentum">How much of the last direction is kept.</param>
    /// <param name="weightDecay">Added to the gradient, times the weight.</param>
    /// <param name="nesterov">Whether the momentum is looked ahead.</param>
    public Sgd(ParameterArena arena, double momentum, double weightDecay, bool nesterov = false)
        : base(arena)
    {
        _momentum = momentum;
        _weightDecay = weightDecay;
        _nesterov = nesterov;
        _velocity = AddMoment("velocity");
    }

    /// <summary>
    /// How much of each gradient after the first stays out of the momentum, as in PyTorch; nothing without momentum.
    /// </summary>
    public double Dampening { get; init; }

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays)
    {
        double share = Steps == 1 || _momentum == 0 ? 1 : 1 - Dampening;
        var step = new SgdStep(learningRate, _momentum, decays ? _weightDecay : 0, _nesterov, share);
        Flat.Sgd(Arena.Flat, gradient, scale, _velocity, range, step);
    }
}
