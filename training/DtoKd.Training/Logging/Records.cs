namespace DtoKd.Training.Logging;

/// <summary>What one training step of one run measured: a line of <c>metrics.jsonl</c>.</summary>
/// <remarks>Null, or no values, means "not measured": nothing is written for it. A measured NaN is NaN.</remarks>
public readonly record struct StepRecord
{
    /// <summary>The method that was trained, such as <c>dto-kd-exact</c>; tells the runs of one file apart.</summary>
    public required string Run { get; init; }

    /// <summary>Steps done, this one included: the first step is 1. Counts through the epochs.</summary>
    public required long Step { get; init; }

    /// <summary>The epoch the step belongs to; the first is 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>L_k of every objective, the reduced scalars before weighting.</summary>
    public NamedValues Losses { get; init; }

    /// <summary>π_k of every objective: on the simplex for the balancers, whatever was fixed otherwise.</summary>
    public NamedValues Weights { get; init; }

    /// <summary>What ∇L_k was multiplied with in the update; π_k / L_k where gradients of log losses are mixed.</summary>
    public NamedValues Coefficients { get; init; }

    /// <summary>cos∠(g_k, g_task) of every distillation objective k over the shared parameters.</summary>
    public NamedValues Cosine { get; init; }

    /// <summary>‖g_k‖ / ‖g_task‖ of every distillation objective k over the shared parameters.</summary>
    public NamedValues NormRatio { get; init; }

    /// <summary>Whether a distillation gradient pointed against the task's: a cosine below zero.</summary>
    public bool? Conflict { get; init; }

    /// <summary>Whether a weight was clamped to the border of the simplex because one gradient dominated.</summary>
    public bool? Clamped { get; init; }

    /// <summary>The objective left out of this update, if one was; several are joined with commas.</summary>
    public string? DroppedObjective { get; init; }

    /// <summary>‖g*‖ of the mixed gradient over the shared parameters, before clipping.</summary>
    public double? NormOfMixed { get; init; }

    /// <summary>Norm of the whole gradient handed to the optimiser, before clipping.</summary>
    public double? GradNorm { get; init; }

    /// <summary>Learning rate of this step.</summary>
    public double LearningRate { get; init; }

    /// <summary>Wall-clock time of the step.</summary>
    public double Milliseconds { get; init; }
}

/// <summary>What one epoch of one run measured: a line of <c>metrics.jsonl</c>.</summary>
public readonly record struct EpochRecord
{
    /// <summary>The method that was trained, as in <see cref="StepRecord.Run"/>.</summary>
    public required string Run { get; init; }

    /// <summary>The epoch; the first is 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>Steps done at the end of the epoch: resuming from an earlier step drops the record.</summary>
    public required long Step { get; init; }

    /// <summary>Mean of every loss over the steps of the epoch.</summary>
    public NamedValues TrainLosses { get; init; }

    /// <summary>Share of held-out images whose first guess is right, in [0, 1]; null when not evaluated.</summary>
    public double? Top1 { get; init; }

    /// <summary>Training images per second.</summary>
    public double ImagesPerSecond { get; init; }

    /// <summary>Wall-clock time of the epoch in seconds.</summary>
    public double Seconds { get; init; }

    /// <summary>Share of the epoch's steps with a conflict, in [0, 1]; null when gradients were not compared.</summary>
    public double? ConflictShare { get; init; }

    /// <summary>Share of the epoch's steps with a clamped weight, in [0, 1]; null when nothing can clamp.</summary>
    public double? ClampedShare { get; init; }
}
