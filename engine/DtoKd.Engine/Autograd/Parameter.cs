namespace DtoKd.Engine;

/// <summary>Fills a new parameter with its first values.</summary>
/// <param name="values">The elements in row-major order.</param>
/// <param name="shape">The parameter's shape.</param>
/// <param name="random">Random numbers of this parameter's own: they depend on the seed and its name only.</param>
public delegate void Initialiser(Span<float> values, Shape shape, PhiloxStream random);

/// <summary>A trained tensor with the name it has in checkpoints. Its value is a range of its <see cref="ParameterArena"/>.</summary>
public sealed class Parameter
{
    private Tensor? _value;

    internal Parameter(ParameterArena arena, int index, string name, Shape shape, bool decays, Initialiser initialiser)
    {
        Arena = arena;
        Index = index;
        Name = name;
        Shape = shape;
        Decays = decays;
        Initialiser = initialiser;
        Leaf = new LeafNode(this);
    }

    /// <summary>The name, as timm gives it: <c>blocks.0.attn.qkv.weight</c>.</summary>
    public string Name { get; }

    /// <summary>The shape.</summary>
    public Shape Shape { get; }

    /// <summary>Whether weight decay applies.</summary>
    public bool Decays { get; }

    /// <summary>Whether gradients are computed for it; off for a frozen teacher.</summary>
    public bool RequiresGrad { get; set; } = true;

    /// <summary>The arena it lies in.</summary>
    public ParameterArena Arena { get; }

    /// <summary>Its place in <see cref="ParameterArena.Parameters"/>.</summary>
    public int Index { get; }

    /// <summary>Its first element in <see cref="ParameterArena.Flat"/>, once the arena is sealed.</summary>
    public long Offset { get; internal set; }

    /// <summary>The current value.</summary>
    /// <exception cref="InvalidOperationException">The arena is not sealed yet.</exception>
    public Tensor Value =>
        _value ?? throw new InvalidOperationException($"parameter {Name} has no value before its arena is sealed");

    internal Initialiser Initialiser { get; }

    /// <summary>Its node on the tapes of all steps.</summary>
    internal LeafNode Leaf { get; }

    /// <summary>A parameter is used wherever a tensor is.</summary>
    public static implicit operator Tensor(Parameter parameter) => parameter.Value;

    internal void Bind(Tensor value) => _value = value;
}
