namespace DtoKd.Models.Checkpoints;

/// <summary>Reads a checkpoint that lies in several safetensors files, by its index.</summary>
internal sealed class ShardedReader : CheckpointReader
{
    private readonly Dictionary<string, SafetensorsReader> _shards = [];
    private readonly ShardIndex _index;
    private readonly List<SafetensorsEntry> _entries = [];
    private readonly Dictionary<string, string> _metadata = [];

    private ShardedReader(string path, ShardIndex index) : base(path) => _index = index;

    /// <inheritdoc/>
    public override string Format => "sharded safetensors";

    /// <inheritdoc/>
    public override IReadOnlyList<CheckpointEntry> Entries => _entries;

    /// <summary>The index's metadata, and what the files have beside it.</summary>
    public override IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <inheritdoc/>
    public override CheckpointEntry this[string name] =>
        _index.Shards.TryGetValue(name, out string? shard) ? _shards[shard][name] : throw NoSuchTensor(name);

    /// <inheritdoc/>
    public override bool Contains(string name) => _index.Shards.ContainsKey(name);

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var shard in _shards.Values)
            shard.Dispose();
    }

    /// <summary>Reads an index, which it closes, and opens the files it names.</summary>
    /// <param name="file">The index.</param>
    /// <param name="open">Opens a file of the index's folder by its name.</param>
    /// <exception cref="InvalidDataException">A file is missing or damaged, or does not have the tensors that the index says.</exception>
    internal static ShardedReader Open(FileBytes file, Func<string, FileBytes> open)
    {
        ShardIndex index;
        using (file)
        {
            if (file.Length > SafetensorsHeader.MaxJsonBytes)
            {
                throw new InvalidDataException(
                    $"{file.Path}: an index of {file.Length} bytes; the most are {SafetensorsHeader.MaxJsonBytes}");
            }
            index = ShardIndex.Parse(file.Slice(0, (int)file.Length), file.Path);
        }
        var reader = new ShardedReader(file.Path, index);
        try
        {
            reader.OpenShards(open);
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    private protected override TensorBytes Locate(CheckpointEntry entry) => _shards[_index.Shards[entry.Name]].Find(entry);

    private void OpenShards(Func<string, FileBytes> open)
    {
        foreach (var (key, value) in _index.Metadata)
            _metadata[key] = value;
        foreach (string name in _index.Shards.Values.Distinct().Order(StringComparer.Ordinal))
        {
            try
            {
                _shards.Add(name, new SafetensorsReader(open(name)));
            }
            catch (FileNotFoundException)
            {
                throw new InvalidDataException($"{FilePath}: the file {Quoting.Quote(name)} is missing beside the index");
            }
        }
        foreach (var (tensor, shard) in _index.Shards)
        {
            if (!_shards[shard].Contains(tensor))
            {
                throw new InvalidDataException($"{FilePath}: tensor {Quoting.Quote(tensor)} is not in {Quoting.Quote(shard)}, "
                    + "where the index has it");
            }
        }
        foreach (var (name, shard) in _shards)
        {
            foreach (var entry in shard.Entries)
            {
                if (!_index.Shards.TryGetValue(entry.Name, out string? listed) || listed != name)
                {
                    throw new InvalidDataException($"{FilePath}: tensor {Quoting.Quote(entry.Name)} is in {Quoting.Quote(name)}, "
                        + "but the index does not say so");
                }
                _entries.Add(entry);
            }
            foreach (var (key, value) in shard.Metadata)
                _metadata.TryAdd(key, value);
        }
    }
}
