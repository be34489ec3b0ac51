using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>A transformer's two-layer perceptron: <c>fc1</c>, GELU (erf form), <c>fc2</c>.</summary>
public sealed class Mlp
{
    private readonly Linear _first;
    private readonly Linear _second;

    /// <summary>Declares the layers.</summary>
    /// <param name="scope">The name they share.</param>
    /// <param name="size">The size of the tokens.</param>
    /// <param name="hidden">The size in between.</param>
    /// <param name="initialiser">The weights' first values; truncated normal when null.</param>
    public Mlp(ParameterScope scope, int size, int hidden, Initialiser? initialiser = null)
    {
        _first = new Linear(scope["fc1"], size, hidden, initialiser: initialiser);
        _second = new Linear(scope["fc2"], hidden, size, initialiser: initialiser);
    }

    /// <summary>The layers as the last ones of a branch of <see cref="Op.Residual"/>.</summary>
    /// <param name="x">[..., size].</param>
    /// <returns>[..., size], computed where it is added to the shortcut.</returns>
    public Addend Last(Tensor x) => Addend.Mlp(x, _first.Weight, _first.Bias?.Value, _second.Weight, _second.Bias?.Value);
}
