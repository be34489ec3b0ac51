namespace DtoKd.Engine;

/// <summary>
/// A prefix of parameter names, handed down the constructors of a network: names and shapes meet in the place that declares
/// them. <c>scope["blocks"][0]["norm1"].Parameter("weight", [192], Init.Ones)</c> declares <c>blocks.0.norm1.weight</c>.
/// </summary>
public sealed class ParameterScope
{
    private readonly ParameterArena _arena;

    internal ParameterScope(ParameterArena arena, string prefix)
    {
        _arena = arena;
        Prefix = prefix;
    }

    /// <summary>The names' beginning, without the last dot.</summary>
    public string Prefix { get; }

    /// <summary>The element type of the parameters.</summary>
    public DType DType => _arena.DType;

    /// <summary>The scope of a named part.</summary>
    public ParameterScope this[string part] => new(_arena, Full(part));

    /// <summary>The scope of a numbered part.</summary>
    public ParameterScope this[int part] => new(_arena, Full(part.ToString()));

    /// <summary>Declares a parameter.</summary>
    /// <param name="name">The last part of its name.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="initialiser">How it gets its first values.</param>
    /// <param name="decays">Whether weight decay applies; when null, to parameters of two or more axes.</param>
    /// <exception cref="InvalidOperationException">The name is taken, or the arena is sealed.</exception>
    public Parameter Parameter(string name, Shape shape, Initialiser initialiser, bool? decays = null) =>
        _arena.Declare(Full(name), shape, initialiser, decays ?? shape.Rank >= 2);

    /// <summary>Declares a float tensor that is saved but not trained.</summary>
    public NamedBuffer Buffer(string name, Shape shape, double value) => _arena.DeclareBuffer(Full(name), shape, _arena.DType, value);

    /// <summary>Declares an integer tensor, zero at first, that is saved but not trained.</summary>
    public NamedBuffer Counter(string name) => _arena.DeclareBuffer(Full(name), [], DType.I64, 0);

    private string Full(string name) => Prefix.Length == 0 ? name : $"{Prefix}.{name}";
}
