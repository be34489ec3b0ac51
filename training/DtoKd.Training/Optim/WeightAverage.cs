using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// An exponential moving average of an arena's parameters, which often evaluates better than the parameters themselves
/// (Polyak and Juditsky 1992; with these weights Tarvainen and Valpola 2017): average = decay average + (1 - decay) parameters.
/// </summary>
public sealed class WeightAverage : IDisposable
{
    private readonly ParameterArena _arena;
    private readonly double _decay;
    private readonly bool _warmsUp;

    /// <summary>Begins at the parameters' current values.</summary>
    /// <param name="arena">The sealed arena to follow.</param>
    /// <param name="decay">How much of the average a step keeps, in 0 .. 1.</param>
    /// <param name="warmsUp">
    /// Whether step t, from 1, keeps no more than (1 + t) / (10 + t), so that the first values are soon forgotten.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in 0 .. 1.</exception>
    public WeightAverage(ParameterArena arena, double decay, bool warmsUp = false)
    {
        if (!(decay is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(decay), decay, "the decay of a weight average lies in 0 .. 1");
        _arena = arena;
        _decay = decay;
        _warmsUp = warmsUp;
        Value = arena.NewFlat("weight average");
        Flat.Average(Value, arena.Flat, 1);
    }

    /// <summary>The average, laid out like <see cref="ParameterArena.Flat"/>.</summary>
    public Tensor Value { get; }

    /// <summary>The steps followed; a resumed run sets it.</summary>
    public long Steps { get; set; }

    /// <summary>Takes in the parameters after an optimiser's step.</summary>
    public void Update()
    {
        Steps++;
        double decay = _warmsUp ? Math.Min(_decay, (1.0 + Steps) / (10.0 + Steps)) : _decay;
        Flat.Average(Value, _arena.Flat, 1 - decay);
    }

    /// <summary>Returns the buffer to the pool.</summary>
    public void Dispose() => Value.Dispose();
}
