using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>y = x Wᵀ + b on the last axis. Parameters: <c>weight</c> [outputs, inputs], <c>bias</c> [outputs].</summary>
public sealed class Linear
{
    /// <summary>Declares the layer.</summary>
    /// <param name="scope">The layer's name.</param>
    /// <param name="inputs">The size of the input's last axis.</param>
    /// <param name="outputs">The size of the result's last axis.</param>
    /// <param name="bias">Whether there is a bias.</param>
    /// <param name="initialiser">The weight's first values; truncated normal when null.</param>
    public Linear(ParameterScope scope, int inputs, int outputs, bool bias = true, Initialiser? initialiser = null)
    {
        Weight = scope.Parameter("weight", [outputs, inputs], initialiser ?? Init.TruncatedNormal);
        Bias = bias ? scope.Parameter("bias", [outputs], Init.Zeros) : null;
    }

    /// <summary>[outputs, inputs].</summary>
    public Parameter Weight { get; }

    /// <summary>[outputs]; null without bias.</summary>
    public Parameter? Bias { get; }

    /// <summary>Applies the layer to [..., inputs].</summary>
    public Tensor Forward(Tensor x) => Op.Linear(x, Weight, Bias?.Value);

    /// <summary>The layer as the last one of a branch of <see cref="Op.Residual"/>.</summary>
    /// <param name="x">[..., inputs].</param>
    /// <returns>[..., outputs], computed where it is added to the shortcut.</returns>
    public Addend Last(Tensor x) => Addend.Linear(x, Weight, Bias?.Value);
}
