namespace DtoKd.Models.Checkpoints;

/// <summary>How another library, or an older version, names the tensors of a family of networks.</summary>
/// <param name="source">Who names them so, for messages.</param>
internal abstract class KeyMap(string source)
{
    /// <summary>All naming schemes that are understood, but timm's own.</summary>
    public static IReadOnlyList<KeyMap> All { get; } =
        [new TorchvisionRegNet(), new TorchvisionSwin(), new TorchvisionVit(), new EarlySwin(), new CurrentSwin()];

    /// <summary>Who names them so, for messages.</summary>
    public string Source { get; } = source;

    /// <summary>Whether a file's names are of this scheme.</summary>
    public abstract bool Describes(IReadOnlySet<string> names);

    /// <summary>timm's name of a tensor; null for one that holds nothing but what follows from the sizes.</summary>
    public abstract string? ToTimm(string name);
}

/// <summary>A scheme that files are also written in.</summary>
/// <param name="source">Who names them so.</param>
internal abstract class WritableKeyMap(string source) : KeyMap(source)
{
    /// <summary>Whether names are timm's for a network of this family.</summary>
    public abstract bool CanName(IReadOnlySet<string> timmNames);

    /// <summary>The scheme's name of a tensor that timm calls so.</summary>
    public abstract string FromTimm(string name);
}
