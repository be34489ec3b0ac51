namespace DtoKd.Training.Balancing;

/// <summary>
/// A loss or a gradient of one objective is NaN or infinite, so no weights can be given. The trainer adds the step, the
/// objective's name and the last checkpoint.
/// </summary>
/// <param name="objective">Index of the objective.</param>
/// <param name="value">The offending number.</param>
/// <param name="what">What it is, e.g. "loss before the step".</param>
public sealed class NonFiniteSignalException(int objective, double value, string what)
    : ArithmeticException($"the {what} of objective {objective} is {value}")
{
    /// <summary>Index of the objective, from 0.</summary>
    public int Objective { get; } = objective;

    /// <summary>What it is, such as "loss before the step".</summary>
    public string What { get; } = what;

    /// <summary>The offending number: NaN or an infinity.</summary>
    public double Value { get; } = value;
}
