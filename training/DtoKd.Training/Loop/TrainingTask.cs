using DtoKd.Engine;

namespace DtoKd.Training.Loop;

/// <summary>
/// What is trained: turns a batch into named losses. It knows nothing of weights, backward passes or optimisers.
/// </summary>
public abstract class TrainingTask
{
    /// <summary>The names of the losses, the K objectives.</summary>
    public abstract IReadOnlyList<string> Objectives { get; }

    /// <summary>The index of the task's own loss among the objectives.</summary>
    public abstract int Task { get; }

    /// <summary>Computes the losses of a batch, one number each, in the order of <see cref="Objectives"/>.</summary>
    public abstract IReadOnlyList<Tensor> Losses(Batch batch);
}
