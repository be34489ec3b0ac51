namespace DtoKd.Engine;

/// <summary>
/// In a step that looks for it (<see cref="Step.DetectsAnomalies"/>), an operation produced NaN or infinity from finite numbers.
/// </summary>
public sealed class AnomalyException : Exception
{
    internal AnomalyException(ulong step, string op, bool isBackward, string where, string what)
        : base($"step {step + 1}: {what}{(where.Length > 0 ? $"; {where}" : "")}")
    {
        Step = step;
        Op = op;
        IsBackward = isBackward;
        Where = where;
    }

    /// <summary>The step's <see cref="Engine.Step.Number"/>, from 0; the message counts from 1, as logs do.</summary>
    public ulong Step { get; }

    /// <summary>The name of the operation, or of the input or parameter that was not finite to begin with.</summary>
    public string Op { get; }

    /// <summary>Whether it happened in the backward pass.</summary>
    public bool IsBackward { get; }

    /// <summary>
    /// The place in the network: <c>with</c> and the names of the parameters that the operation reads, or <c>after</c> and those
    /// that were read last before it. Empty when no parameter came before.
    /// </summary>
    public string Where { get; }
}
