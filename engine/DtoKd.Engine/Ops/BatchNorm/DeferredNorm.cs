namespace DtoKd.Engine;

/// <summary>
/// What batch norm by the statistics of the batch, and a ReLU if asked for, will make of a tensor. An operation that reads it once
/// more anyway can do that as it reads: then the normalised tensor is never stored, and made anew for the backward pass. It is read once,
/// by one operation or by <see cref="ToTensor"/>, and then its running statistics are updated.
/// </summary>
public sealed class DeferredNorm
{
    private readonly Tensor _x;
    private readonly TrainingNorm _norm;
    private readonly bool _relu;
    private readonly BatchMoments? _moments;
    private bool _isRead;

    internal DeferredNorm(Tensor x, TrainingNorm norm, bool relu, BatchMoments? moments) =>
        (_x, _norm, _relu, _moments) = (x, norm, relu, moments);

    /// <summary>The shape of the tensor and of the normalised one: [N, C, ...].</summary>
    public Shape Shape => _x.Shape;

    /// <summary>What is normalised.</summary>
    internal Tensor X => _x;

    /// <summary>The normalised tensor; a residual of its shape is added to it before the ReLU.</summary>
    /// <exception cref="ArgumentException">The shapes of the norm's tensors or of the residual do not fit.</exception>
    /// <exception cref="InvalidOperationException">It has been read before.</exception>
    public Tensor ToTensor(Tensor? residual = null)
    {
        Read();
        return Op.NormaliseBatch(
            _x, _norm.Weight, _norm.Bias, _norm.RunningMean, _norm.RunningVar, training: true, _norm.Momentum, _norm.Epsilon, residual, _relu,
            _moments);
    }

    /// <summary>Whether the statistics are known already: only then can an operation normalise as it reads.</summary>
    internal bool IsKnown => _moments is not null;

    /// <summary>For an operation that normalises as it reads: what it has to do.</summary>
    internal BatchNormInputs Take(Step step, string op)
    {
        Read();
        return Op.TakeNorm(step, op, _x, _norm, _relu, _moments!);
    }

    private void Read()
    {
        if (_isRead)
            throw new InvalidOperationException($"the deferred norm of {_x.Origin} was read before; to read it twice, store it with ToTensor");
        _isRead = true;
    }
}

/// <summary>Batch norm that trains: by the batch's statistics, y = (x - mean) / sqrt(variance + Epsilon) Weight + Bias for each channel.</summary>
/// <param name="Weight">[C].</param>
/// <param name="Bias">[C].</param>
/// <param name="RunningMean">[C], updated in place: (1 - Momentum) running + Momentum batch.</param>
/// <param name="RunningVar">[C], likewise, by the unbiased variance.</param>
/// <param name="Momentum">The share of the new batch in the running statistics.</param>
/// <param name="Epsilon">Added to the variance.</param>
public sealed record TrainingNorm(
    Tensor Weight, Tensor Bias, Tensor RunningMean, Tensor RunningVar, double Momentum = 0.1, double Epsilon = 1e-5);

/// <summary>Mean and biased variance, [C] each, of a batch's channels, as the operation took them that made the batch.</summary>
internal sealed record BatchMoments(Tensor Mean, Tensor Variance);
