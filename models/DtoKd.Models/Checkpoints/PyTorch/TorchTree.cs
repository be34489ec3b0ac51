using System.Globalization;
using System.Numerics;

namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>
/// Names the tensors and the plain values of an unpickled object by the path of keys to them: <c>model.blocks.0.norm1.weight</c>,
/// <c>optimizer.state.3.exp_avg</c>, <c>args.lr</c>.
/// </summary>
internal sealed class TorchTree
{
    /// <summary>The name of a tensor that was saved alone.</summary>
    internal const string OnlyTensor = "tensor";

    private const int MaxDepth = 64;
    private const int MaxName = 4096;
    private const int MaxText = 256;
    private const int MaxListed = 16;

    /// <summary>Bytes an expanded tensor may take beyond those of its file.</summary>
    private const long FreeBytes = 1 << 20;

    /// <summary>Fewer bytes than the shortest description of a tensor; values shared within a file need fewer.</summary>
    private const int BytesPerTensor = 16;

    /// <summary>Characters of names and texts per byte of the pickle.</summary>
    private const int CharactersPerByte = 8;

    private const int FreeCharacters = 1 << 16;

    private const string TooMuch = "shared values are repeated until they take far more memory than the file";

    private readonly string _file;
    private readonly long _fileLength;
    private readonly Dictionary<string, TorchEntry> _tensors = [];
    private readonly Dictionary<string, string> _metadata = [];
    private readonly List<TorchEntry> _entries = [];
    private long _visits;
    private long _tensorsLeft;
    private long _charactersLeft;

    private TorchTree(string file, long fileLength, long pickleBytes)
    {
        _file = file;
        _fileLength = fileLength;
        _visits = 2 * pickleBytes + 1024;
        _tensorsLeft = pickleBytes / BytesPerTensor + 64;
        _charactersLeft = CharactersPerByte * pickleBytes + FreeCharacters;
    }

    /// <summary>The tensors in the order of the pickle.</summary>
    internal IReadOnlyList<TorchEntry> Entries => _entries;

    internal IReadOnlyDictionary<string, TorchEntry> ByName => _tensors;

    /// <summary>Numbers, short texts and short lists of them; None, True and False by Python's words.</summary>
    internal IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Walks an unpickled object.</summary>
    /// <param name="file">The file's path, for messages.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <param name="pickleBytes">Bytes of the pickle: what is made of it stays in proportion.</param>
    /// <param name="root">The object; all storages of its tensors are located.</param>
    /// <exception cref="InvalidDataException">Names collide, or the object contains itself.</exception>
    internal static TorchTree Flatten(string file, long fileLength, long pickleBytes, object? root)
    {
        var tree = new TorchTree(file, fileLength, pickleBytes);
        tree.Visit(root is TorchTensor ? OnlyTensor : "", root, 0);
        return tree;
    }

    private void Visit(string path, object? value, int depth)
    {
        if (depth > MaxDepth)
            throw Error($"values are nested more than {MaxDepth} deep, or contain themselves, at {Quoting.Quote(path)}");
        if (--_visits < 0)
            throw Error(TooMuch);
        switch (value)
        {
            case TorchTensor tensor:
                Add(path, tensor);
                break;
            case PickleDict dict:
                foreach (var (key, item) in dict.Pairs)
                {
                    string name = Plain(key)
                        ?? throw Error($"below {Quoting.Quote(path)} is a key that is neither text nor number");
                    Visit(Join(path, name), item, depth + 1);
                }
                break;
            case PickleList list:
                VisitItems(path, list.Items, depth);
                break;
            case PickleTuple tuple:
                VisitItems(path, tuple.Items, depth);
                break;
            default:
                AddMetadata(path, Plain(value));
                break;
        }
    }

    private void VisitItems(string path, IReadOnlyList<object?> items, int depth)
    {
        if (items.All(IsPlain))
        {
            // Settings such as (0.9, 0.999); long ones are histories and random states.
            _visits -= items.Count;
            AddMetadata(path, items.Count > 0 ? Listed(items, "[", "]") : null);
            return;
        }
        for (int i = 0; i < items.Count; i++)
            Visit(Join(path, i.ToString(CultureInfo.InvariantCulture)), items[i], depth + 1);
    }

    private string Join(string path, string name)
    {
        int length = path.Length + 1 + name.Length;
        // Only names of what is kept stay in memory, but every one of them is made.
        _charactersLeft -= length;
        if (length > MaxName)
            throw Error($"a name of more than {MaxName} characters: {Quoting.Quote(path)} and more");
        if (_charactersLeft < 0)
            throw Error(TooMuch);
        return path.Length == 0 ? name : $"{path}.{name}";
    }

    private void Add(string name, TorchTensor tensor)
    {
        if (--_tensorsLeft < 0)
            throw Error(TooMuch);
        var storage = tensor.Storage;
        int width = storage.Type.ByteWidth();
        if (tensor.Count > (_fileLength + FreeBytes) / width)
        {
            throw Error($"tensor {Quoting.Quote(name)} repeats its elements (a stride of 0) until it is larger than the file; "
                + "save a copy of it or what it repeats");
        }
        var entry = new TorchEntry(name, storage.Type, tensor.Shape, tensor.Count, tensor.Count * width,
            storage.FileOffset + tensor.Offset * width, tensor.IsContiguous ? null : tensor.Strides);
        if (!_tensors.TryAdd(name, entry))
            throw Error($"tensor {Quoting.Quote(name)} appears twice");
        _entries.Add(entry);
    }

    private void AddMetadata(string name, string? text)
    {
        if (text is null || name.Length == 0 || text.Length > MaxText || text.Length > _charactersLeft)
            return;
        _charactersLeft -= text.Length;
        _metadata[name] = text;
    }

    /// <summary>A plain value as text; null for any other.</summary>
    private static string? Plain(object? value) => value switch
    {
        null => "None",
        true => "True",
        false => "False",
        string text => text,
        long number => number.ToString(CultureInfo.InvariantCulture),
        BigInteger number => number.ToString(CultureInfo.InvariantCulture),
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        PickleTuple tuple when tuple.Items.Length <= MaxListed && Array.TrueForAll(tuple.Items, IsPlain) =>
            Listed(tuple.Items, "(", ")"),
        _ => null,
    };

    private static bool IsPlain(object? value) => value is null or bool or long or BigInteger or double or string;

    /// <summary>A few plain values as one short text; null when there are too many or they are too long.</summary>
    private static string? Listed(IReadOnlyList<object?> items, string open, string close)
    {
        // Before they are joined, because many lists may share one long text.
        bool isShort = items.Count <= MaxListed && items.Sum(item => item is string text ? (long)text.Length : 1) <= MaxText;
        return isShort ? $"{open}{string.Join(", ", items.Select(Plain))}{close}" : null;
    }

    private InvalidDataException Error(string message) => new($"{_file}: {message}");
}
