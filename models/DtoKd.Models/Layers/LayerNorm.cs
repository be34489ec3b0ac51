using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>Layer normalisation over the last axis. Parameters: <c>weight</c>, <c>bias</c> [size].</summary>
public sealed class LayerNorm
{
    private readonly Parameter _weight;
    private readonly Parameter _bias;
    private readonly double _epsilon;

    /// <summary>Declares the layer.</summary>
    /// <param name="scope">The layer's name.</param>
    /// <param name="size">The size of the last axis.</param>
    /// <param name="epsilon">Added to the variance: 1e-6 in DeiT, 1e-5 in Swin.</param>
    public LayerNorm(ParameterScope scope, int size, double epsilon)
    {
        _weight = scope.Parameter("weight", [size], Init.Ones);
        _bias = scope.Parameter("bias", [size], Init.Zeros);
        _epsilon = epsilon;
    }

    /// <summary>Applies the layer to [..., size].</summary>
    public Tensor Forward(Tensor x) => Op.LayerNorm(x, _weight, _bias, _epsilon);
}
