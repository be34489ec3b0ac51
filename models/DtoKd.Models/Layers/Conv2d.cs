using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>A convolution. Parameters: <c>weight</c> [outputs, inputs / groups, k, k], optional <c>bias</c> [outputs].</summary>
public sealed class Conv2d
{
    private readonly Parameter _weight;
    private readonly Parameter? _bias;
    private readonly int _stride;
    private readonly int _padding;
    private readonly int _groups;

    /// <summary>Declares the layer.</summary>
    /// <param name="scope">The layer's name.</param>
    /// <param name="inputs">Channels of the input.</param>
    /// <param name="outputs">Channels of the result.</param>
    /// <param name="kernel">The side of the kernel.</param>
    /// <param name="stride">The step between positions.</param>
    /// <param name="padding">Zeros around the input; half the kernel when null.</param>
    /// <param name="groups">Groups of channels that do not mix.</param>
    /// <param name="bias">Whether there is a bias.</param>
    /// <param name="initialiser">The weight's first values; He's fan-out rule when null.</param>
    public Conv2d(
        ParameterScope scope,
        int inputs,
        int outputs,
        int kernel,
        int stride = 1,
        int? padding = null,
        int groups = 1,
        bool bias = false,
        Initialiser? initialiser = null)
    {
        _weight = scope.Parameter("weight", [outputs, inputs / groups, kernel, kernel], initialiser ?? Init.HeFanOut(groups));
        _bias = bias ? scope.Parameter("bias", [outputs], Init.Zeros) : null;
        _stride = stride;
        _padding = padding ?? kernel / 2;
        _groups = groups;
    }

    /// <summary>Applies the layer to [N, inputs, H, W].</summary>
    public Tensor Forward(Tensor x) => Op.Conv2d(x, _weight, _bias?.Value, stride: _stride, padding: _padding, groups: _groups);

    /// <summary>Applies the layer and, once it is read, batch norm that trains and a ReLU; for layers without bias.</summary>
    internal DeferredNorm Forward(Tensor x, TrainingNorm norm, bool relu) => Op.Conv2dBatchNorm(x, _weight, norm, relu, _stride, _padding, _groups);

    /// <inheritdoc cref="Forward(Tensor, TrainingNorm, bool)"/>
    internal DeferredNorm Forward(DeferredNorm x, TrainingNorm norm, bool relu) => Op.Conv2dBatchNorm(x, _weight, norm, relu, _stride, _padding, _groups);

    /// <summary>Applies a gate, the layer, batch norm by fixed statistics, an addition and a ReLU; for layers without bias.</summary>
    internal Tensor Forward(Tensor x, FixedNorm norm, Tensor? residual, bool relu, Tensor? gate = null) =>
        Op.Conv2dNorm(x, _weight, norm, residual, relu, _stride, _padding, _groups, gate);
}
