namespace DtoKd.Training.Loop;

/// <summary>A loss or gradient became NaN or infinite; the run has stopped before its parameters were changed.</summary>
/// <param name="step">The step, from 1.</param>
/// <param name="objective">The objective's name.</param>
/// <param name="what">What was not finite.</param>
public sealed class TrainingDivergedException(long step, string objective, string what)
    : Exception($"step {step}: {what} of objective '{objective}' is not finite")
{
    /// <summary>The step, from 1.</summary>
    public long Step { get; } = step;

    /// <summary>The objective's name.</summary>
    public string Objective { get; } = objective;
}
