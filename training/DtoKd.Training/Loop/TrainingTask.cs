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

    /// <summary>Computes the losses of a batch.</summary>
    public abstract TaskLosses Losses(Batch batch);
}

/// <summary>The losses of a batch.</summary>
/// <param name="Values">One number each, in the order of <see cref="TrainingTask.Objectives"/>.</param>
/// <param name="Representation">
/// What the network made of the images and all losses start from: no path leads from the network's parameters to a loss around
/// all of these tensors.
/// </param>
public sealed record TaskLosses(IReadOnlyList<Tensor> Values, IReadOnlyList<Tensor> Representation);
