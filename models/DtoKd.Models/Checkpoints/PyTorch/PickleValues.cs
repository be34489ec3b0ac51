namespace DtoKd.Models.Checkpoints.PyTorch;

// What a pickle may hold here, besides null, bool, long, BigInteger, double, string and byte[]. Containers refer to their parts:
// they may be shared and, in a hostile file, contain themselves.

/// <summary>A list or set.</summary>
internal sealed class PickleList
{
    private List<object?>? _items;

    internal IReadOnlyList<object?> Items => _items ?? (IReadOnlyList<object?>)[];

    internal void Add(object? item) => (_items ??= []).Add(item);
}

/// <summary>A tuple.</summary>
internal sealed record PickleTuple(object?[] Items)
{
    internal static PickleTuple Empty { get; } = new([]);
}

/// <summary>
/// A dictionary, or an object that is nothing but its attributes. Pairs in the order they were set; no look-up, because keys chosen
/// to collide would make it slow.
/// </summary>
internal sealed class PickleDict
{
    private List<KeyValuePair<object?, object?>>? _pairs;

    internal IReadOnlyList<KeyValuePair<object?, object?>> Pairs => _pairs ?? (IReadOnlyList<KeyValuePair<object?, object?>>)[];

    internal void Add(object? key, object? value) => (_pairs ??= []).Add(new(key, value));
}

/// <summary>What the name of a class or function in a pickle stands for here.</summary>
/// <param name="Name">Module and name, joined with a dot.</param>
/// <param name="Kind">What calling it gives.</param>
/// <param name="Type">For a storage class: its element type.</param>
internal sealed record PickleGlobal(string Name, GlobalKind Kind, SafetensorsType Type = default);

/// <summary>What calling an allowed name gives.</summary>
internal enum GlobalKind
{
    /// <summary>A dictionary.</summary>
    Dict,

    /// <summary>A list or set.</summary>
    List,

    /// <summary>The argument as it is, a tuple of sizes.</summary>
    Size,

    /// <summary>An object of attributes that are set afterwards.</summary>
    Namespace,

    /// <summary>A tensor over a storage.</summary>
    Tensor,

    /// <summary>The tensor that is the first argument.</summary>
    Parameter,

    /// <summary>A storage class: named in a persistent id, never called.</summary>
    Storage,

    /// <summary>Text out of the arguments.</summary>
    Text,

    /// <summary>Bytes out of a text, as protocol 2 writes them.</summary>
    Bytes,

    /// <summary>A NumPy element type.</summary>
    NumpyType,

    /// <summary>One NumPy number.</summary>
    NumpyScalar,

    /// <summary>Only the name, as an element type among a model's settings; never called.</summary>
    Name,
}

/// <summary>A NumPy element type: a letter for the kind and the bytes, <c>f8</c>.</summary>
internal sealed record NumpyType(string Code);

/// <summary>A run of elements of one type in the file; tensors are views into it.</summary>
/// <param name="Key">Its name in the file.</param>
/// <param name="Type">The element type.</param>
/// <param name="Count">How many elements.</param>
internal sealed record TorchStorage(string Key, SafetensorsType Type, long Count)
{
    /// <summary>Where its first element is in the file; not negative once it is known.</summary>
    internal long FileOffset { get; set; } = -1;

    /// <summary>For a view of another storage: that storage, and the view's first element in it.</summary>
    internal (TorchStorage Root, long Offset)? ViewOf { get; init; }
}

/// <summary>A view into a storage; checked to lie inside it.</summary>
/// <param name="Storage">The storage.</param>
/// <param name="Offset">Its first element in the storage.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Strides">Elements from one index to the next, per axis.</param>
/// <param name="Count">The product of the dimensions.</param>
internal sealed record TorchTensor(TorchStorage Storage, long Offset, long[] Shape, long[] Strides, long Count)
{
    /// <summary>Whether one element follows the other, row-major.</summary>
    internal bool IsContiguous
    {
        get
        {
            long expected = 1;
            for (int axis = Shape.Length - 1; axis >= 0; axis--)
            {
                if (Shape[axis] != 1 && Strides[axis] != expected)
                    return Count == 0;
                expected *= Math.Max(Shape[axis], 1);
            }
            return true;
        }
    }
}
