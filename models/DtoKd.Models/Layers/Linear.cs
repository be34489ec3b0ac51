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

    /// <summary>Applies the layer to [..., inputs] and adds a shortcut, if there is one, of the result's shape.</summary>
    public Tensor Forward(Tensor x, Tensor? shortcut = null) => Op.Linear(x, Weight, Bias?.Value, shortcut);
}
