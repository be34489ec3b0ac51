namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>
/// The zip format of <c>torch.save</c>: <c>NAME/data.pkl</c> is the object, with a persistent id for each storage;
/// <c>NAME/data/KEY</c> the bytes of a storage; <c>NAME/byteorder</c>, if there, their order.
/// </summary>
internal static class ZipFormat
{
    private const string Pickle = "/data.pkl";

    /// <summary>A description larger than this is none of a checkpoint.</summary>
    internal const int MaxPickleBytes = 1 << 28;

    /// <summary>Reads the description.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or not allowed.</exception>
    internal static TorchTree Read(FileBytes file)
    {
        var entries = ZipDirectory.Read(file).Entries;
        var pickles = entries.Keys.Where(name => name.EndsWith(Pickle, StringComparison.Ordinal)).Take(2).ToList();
        if (pickles.Count != 1)
        {
            throw new InvalidDataException(
                $"{file.Path}: the zip archive has {(pickles.Count == 0 ? "no" : "several")} data.pkl; is this a PyTorch file?");
        }
        string root = pickles[0][..^Pickle.Length];
        if (entries.ContainsKey($"{root}/constants.pkl"))
        {
            throw new InvalidDataException(
                $"{file.Path}: this is a TorchScript program, which holds code; save its state_dict with torch.save");
        }
        if (entries.TryGetValue($"{root}/byteorder", out var order)
            && !file.Slice(order.Offset, (int)Math.Min(order.Length, 8)).StartsWith("little"u8))
        {
            throw new InvalidDataException($"{file.Path}: the storages are not little-endian; save the file on such a machine");
        }

        var (offset, length) = entries[pickles[0]];
        if (length > MaxPickleBytes)
            throw new InvalidDataException($"{file.Path}: data.pkl has {length} bytes; the most are {MaxPickleBytes}");
        TorchStorage Storage(PickleTuple id)
        {
            var storage = PersistentId.Read(file.Path, id);
            if (!entries.TryGetValue($"{root}/data/{storage.Key}", out var bytes))
                throw new InvalidDataException($"{file.Path}: storage {Quoting.Quote(storage.Key)} is not in the archive");
            PersistentId.CheckSize(file.Path, storage, bytes.Length);
            storage.FileOffset = bytes.Offset;
            return storage;
        }

        var machine = new PickleMachine(file.Slice(offset, (int)length), $"{file.Path}: data.pkl", Storage);
        return TorchTree.Flatten(file.Path, file.Length, length, machine.Run());
    }
}
