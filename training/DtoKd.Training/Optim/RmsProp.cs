using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// Gradients divided by the root of their running mean of squares (Hinton's lecture 6e, 2012), then momentum. Epsilon is added to
/// the root, as in PyTorch; TensorFlow's RMSprop adds it below the root. Weight decay is added to the gradient.
/// </summary>
public sealed class RmsProp : Optimiser
{
    private readonly double _momentum;
    private readonly double _weightDecay;
    private readonly Tensor _second;
    private readonly Tensor _velocity;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="momentum">How much of the last direction is kept.</param>
    /// <param name="weightDecay">Added to the gradient, times the weight.</param>
    public RmsProp(ParameterArena arena, double momentum = 0, double weightDecay = 0)
        : base(arena)
    {
        _momentum = momentum;
        _weightDecay = weightDecay;
        _second = AddMoment("second");
        _velocity = AddMoment("velocity");
    }

    /// <summary>The decay of the mean of squares.</summary>
    public double Alpha { get; init; } = 0.99;

    /// <summary>Added to the root of the mean of squares.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays) =>
        Flat.RmsProp(
            Arena.Flat,
            gradient,
            scale,
            _second,
            _velocity,
            range,
            new RmsPropStep(learningRate, Alpha, _momentum, Epsilon, decays ? _weightDecay : 0));
}
