using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// Adam (Kingma and Ba 2015), with AMSGrad's bound on request (Reddi, Kale and Kumar 2018). Weight decay is added to the
/// gradient, so that it is divided by the root of the second moment too; <see cref="AdamW"/> keeps it apart.
/// </summary>
public sealed class Adam : Optimiser
{
    private readonly double _weightDecay;
    private readonly Tensor _first;
    private readonly Tensor _second;
    private readonly Tensor? _largest;

    /// <summary>Makes the optimiser.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    /// <param name="weightDecay">Added to the gradient, times the weight.</param>
    /// <param name="amsGrad">Whether the largest second moment so far divides, so that the step size never grows again.</param>
    public Adam(ParameterArena arena, double weightDecay = 0, bool amsGrad = false)
        : base(arena)
    {
        _weightDecay = weightDecay;
        _first = AddMoment("first");
        _second = AddMoment("second");
        _largest = amsGrad ? AddMoment("largest") : null;
    }

    /// <summary>The decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <inheritdoc/>
    protected override void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays) => Flat.Adam(
        Arena.Flat,
        gradient,
        scale,
        _first,
        _second,
        _largest,
        range,
        new AdamStep(learningRate, Beta1, Beta2, Epsilon, WeightDecay: 0, Steps, Coupled: decays ? _weightDecay : 0));
}
