namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>Reads what <c>torch.save</c> wrote, in the zip format (since 1.6) or the one before, through a memory map.</summary>
internal sealed unsafe class TorchReader : CheckpointReader
{
    private readonly FileBytes _file;
    private readonly TorchTree _tree;

    private TorchReader(FileBytes file, string format, TorchTree tree) : base(file.Path)
    {
        _file = file;
        _tree = tree;
        Format = format;
    }

    /// <inheritdoc/>
    public override string Format { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<CheckpointEntry> Entries => _tree.Entries;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => _tree.Metadata;

    /// <inheritdoc/>
    public override CheckpointEntry this[string name] =>
        _tree.ByName.TryGetValue(name, out var entry) ? entry : throw NoSuchTensor(name);

    /// <inheritdoc/>
    public override bool Contains(string name) => _tree.ByName.ContainsKey(name);

    /// <summary>Unmaps and closes the file.</summary>
    public override void Dispose() => _file.Dispose();

    /// <summary>Reads the description in a zip archive; the caller disposes the file when it is refused.</summary>
    internal static TorchReader OpenZip(FileBytes file) => new(file, "PyTorch zip", ZipFormat.Read(file));

    /// <summary>Reads the description in a file of the older format; the caller disposes the file when it is refused.</summary>
    internal static TorchReader OpenLegacy(FileBytes file) => new(file, "PyTorch legacy", LegacyFormat.Read(file));

    private protected override TensorBytes Locate(CheckpointEntry entry)
    {
        var tensor = (TorchEntry)entry;
        return new(_file.Start + tensor.Offset, tensor, tensor.Strides);
    }
}
