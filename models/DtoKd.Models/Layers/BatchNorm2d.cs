using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>
/// Batch normalisation over all axes but the channels. Parameters <c>weight</c>, <c>bias</c>; buffers <c>running_mean</c>,
/// <c>running_var</c> and the counter <c>num_batches_tracked</c>.
/// </summary>
public sealed class BatchNorm2d
{
    private const double Momentum = 0.1;
    private const double Epsilon = 1e-5;

    private readonly Parameter _weight;
    private readonly Parameter _bias;
    private readonly NamedBuffer _mean;
    private readonly NamedBuffer _variance;
    private readonly NamedBuffer _batches;

    /// <summary>Declares the layer.</summary>
    /// <param name="scope">The layer's name.</param>
    /// <param name="channels">The size of axis 1.</param>
    /// <param name="initialiser">The weight's first values; ones when null.</param>
    public BatchNorm2d(ParameterScope scope, int channels, Initialiser? initialiser = null)
    {
        _weight = scope.Parameter("weight", [channels], initialiser ?? Init.Ones);
        _bias = scope.Parameter("bias", [channels], Init.Zeros);
        _mean = scope.Buffer("running_mean", [channels], 0);
        _variance = scope.Buffer("running_var", [channels], 1);
        _batches = scope.Counter("num_batches_tracked");
    }

    /// <summary>What the layer does outside of training.</summary>
    internal FixedNorm Fixed => new(_weight, _bias, _mean.Value, _variance.Value, Epsilon);

    /// <summary>Applies the layer to [N, channels, ...]: by the batch's statistics in training, by the running ones otherwise.</summary>
    /// <param name="x">The input.</param>
    /// <param name="relu">Whether a ReLU follows.</param>
    public Tensor Forward(Tensor x, bool relu = false)
    {
        if (!x.Step!.IsTraining)
            return Op.BatchNorm(x, _weight, _bias, _mean.Value, _variance.Value, training: false, eps: Epsilon, relu: relu);
        var norm = Training(x.Step);
        return Op.BatchNorm(x, norm.Weight, norm.Bias, norm.RunningMean, norm.RunningVar, training: true, Momentum, Epsilon, relu: relu);
    }

    /// <summary>What the layer does in training, to one batch: it is counted.</summary>
    internal TrainingNorm Training(Step step)
    {
        if (!step.IsReplay)
            Flat.Increment(_batches.Value);
        var (mean, variance) = step.IsReplay
            ? (step.Zeros(_mean.Value.Shape, _mean.Value.DType), step.Zeros(_mean.Value.Shape, _mean.Value.DType))
            : (_mean.Value, _variance.Value);
        return new TrainingNorm(_weight, _bias, mean, variance, Momentum, Epsilon);
    }
}
