namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Named tensors out of a checkpoint file of any known format. Opening costs the file's description only; a tensor is converted
/// from the mapped bytes straight to where it is wanted.
/// </summary>
/// <remarks>
/// A file that breaks its format is refused when it is opened. Safe to read from several threads; not while disposing. The file
/// must not be cut while it is open (replacing it by a rename, as <see cref="AtomicFile"/> does, is harmless).
/// </remarks>
public abstract class CheckpointReader : IDisposable
{
    private protected CheckpointReader(string path) => FilePath = path;

    /// <summary>The path it was opened by.</summary>
    public string FilePath { get; }

    /// <summary>The format's name, for people: <c>safetensors</c>, <c>PyTorch zip</c>, <c>PyTorch legacy</c>.</summary>
    public abstract string Format { get; }

    /// <summary>The tensors, in the file's order.</summary>
    public abstract IReadOnlyList<CheckpointEntry> Entries { get; }

    /// <summary>Texts and numbers stored beside the tensors; empty when there are none.</summary>
    public abstract IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>What the file says about a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="InvalidDataException">The file has no such tensor.</exception>
    public abstract CheckpointEntry this[string name] { get; }

    /// <summary>Opens a file of any known format; the content tells which, not the name.</summary>
    /// <param name="path">The file, or a folder with a <c>model.safetensors.index.json</c> (or a <c>model.safetensors</c>).</param>
    /// <returns>The reader; dispose it to close the file.</returns>
    /// <exception cref="InvalidDataException">The content is of no known format, or breaks its own.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static CheckpointReader Open(string path) => CheckpointFormat.Open(path);

    /// <summary>Whether the file has a tensor of that name.</summary>
    /// <param name="name">A name.</param>
    public abstract bool Contains(string name);

    /// <summary>Closes the file.</summary>
    public abstract void Dispose();

    /// <summary>Reads a tensor of any type as singles; integers are rounded to the nearest, booleans become 0 and 1.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, or another number of elements.</exception>
    public void CopyTo(string name, Span<float> destination) => Locate(name, destination.Length).CopyTo(destination);

    /// <summary>Reads a tensor of any type as doubles; only 64-bit integers can lose anything.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, or another number of elements.</exception>
    public void CopyTo(string name, Span<double> destination) => Locate(name, destination.Length).CopyTo(destination);

    /// <summary>Reads a tensor of integers or booleans.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, a floating-point one, or another number of elements.</exception>
    public void CopyTo(string name, Span<long> destination)
    {
        if (!Locate(name, destination.Length).TryCopyTo(destination))
        {
            throw new InvalidDataException($"{FilePath}: tensor {Quoting.Quote(name)} has type "
                + $"{this[name].Type.FileName()}, but integers were expected");
        }
    }

    /// <summary>Reads a tensor of any type as singles.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its elements, row-major.</returns>
    /// <exception cref="InvalidDataException">No such tensor, or too large for an array.</exception>
    public float[] ReadFloat32(string name)
    {
        var values = NewArray<float>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor of any type as doubles.</summary>
    /// <inheritdoc cref="ReadFloat32"/>
    public double[] ReadFloat64(string name)
    {
        var values = NewArray<double>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor of integers or booleans.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its elements, row-major.</returns>
    /// <exception cref="InvalidDataException">No such tensor, a floating-point one, or too large for an array.</exception>
    public long[] ReadInt64(string name)
    {
        var values = NewArray<long>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor's elements as they are in the file, little-endian, row-major, one after the other.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its bytes.</returns>
    /// <exception cref="InvalidDataException">No such tensor, or too large for an array.</exception>
    public byte[] ReadBytes(string name)
    {
        var entry = this[name];
        var bytes = new byte[ArrayLength(entry, entry.ByteCount)];
        Locate(entry).CopyBytes(bytes);
        return bytes;
    }

    /// <summary>Where the elements of one of <see cref="Entries"/> are.</summary>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    private protected abstract TensorBytes Locate(CheckpointEntry entry);

    private protected InvalidDataException NoSuchTensor(string name) =>
        new($"{FilePath}: there is no tensor {Quoting.Quote(name)}");

    private TensorBytes Locate(string name, int elements)
    {
        var entry = this[name];
        if (entry.ElementCount != elements)
        {
            throw new InvalidDataException($"{FilePath}: tensor {Quoting.Quote(name)} of shape {entry.ShapeText} has "
                + $"{entry.ElementCount} elements, but {elements} were expected");
        }
        return Locate(entry);
    }

    private T[] NewArray<T>(string name)
    {
        var entry = this[name];
        return new T[ArrayLength(entry, entry.ElementCount)];
    }

    private int ArrayLength(CheckpointEntry entry, long length) => length <= Array.MaxLength
        ? (int)length
        : throw new InvalidDataException($"{FilePath}: tensor {Quoting.Quote(entry.Name)} of shape {entry.ShapeText} "
            + "is too large for one array");
}
