namespace DtoKd.Models.Checkpoints;

/// <summary>Reads a safetensors file (https://github.com/huggingface/safetensors) through a memory map.</summary>
public sealed unsafe class SafetensorsReader : CheckpointReader
{
    private readonly FileBytes _file;
    private readonly SafetensorsHeader _header;

    /// <summary>Reads the header; takes the file over, also when it is refused.</summary>
    internal SafetensorsReader(FileBytes file) : base(file.Path)
    {
        _file = file;
        try
        {
            var first = file.Slice(0, (int)Math.Min(SafetensorsHeader.LengthBytes, file.Length));
            int jsonLength = SafetensorsHeader.JsonLength(first, file.Length, file.Path);
            _header = SafetensorsHeader.Parse(file.Slice(SafetensorsHeader.LengthBytes, jsonLength), file.Length, file.Path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override string Format => "safetensors";

    /// <summary>The tensors in the order of their bytes.</summary>
    public override IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The header's <c>__metadata__</c>; empty when the file has none.</summary>
    public override IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <inheritdoc/>
    public override SafetensorsEntry this[string name] =>
        _header.ByName.TryGetValue(name, out var entry) ? entry : throw NoSuchTensor(name);

    /// <summary>Opens a safetensors file and checks its header.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The reader; dispose it to unmap the file.</returns>
    /// <exception cref="InvalidDataException">The file breaks the format; the message names file, offset and tensor.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static new SafetensorsReader Open(string path) => new(FileBytes.Open(path));

    /// <inheritdoc/>
    public override bool Contains(string name) => _header.ByName.ContainsKey(name);

    /// <summary>Unmaps and closes the file.</summary>
    public override void Dispose() => _file.Dispose();

    /// <summary>Where the elements of one of the entries are.</summary>
    internal TensorBytes Find(CheckpointEntry entry) => Locate(entry);

    private protected override TensorBytes Locate(CheckpointEntry entry) =>
        new(_file.Start + ((SafetensorsEntry)entry).Offset, entry);
}
