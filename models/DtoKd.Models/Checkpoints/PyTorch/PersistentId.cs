namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>The tuple that stands for a storage in a pickle of PyTorch.</summary>
internal static class PersistentId
{
    private const int MaxKey = 256;

    /// <summary>The storage that <c>('storage', class, key, device, elements)</c> describes, not located yet.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    internal static TorchStorage Read(string file, PickleTuple id)
    {
        if (id.Items is not ["storage", PickleGlobal { Kind: GlobalKind.Storage } type, string key, string, long count, ..]
            || key.Length > MaxKey || count < 0)
        {
            throw new InvalidDataException($"{file}: a persistent id that does not describe a storage");
        }
        return new TorchStorage(key, type.Type, count);
    }

    /// <summary>Makes sure that a storage's elements are there.</summary>
    /// <exception cref="InvalidDataException">They are not.</exception>
    internal static void CheckSize(string file, TorchStorage storage, long bytes)
    {
        if (storage.Count > bytes / storage.Type.ByteWidth())
        {
            throw new InvalidDataException($"{file}: storage {Quoting.Quote(storage.Key)} of {storage.Count} "
                + $"{storage.Type.FileName()} elements has only {bytes} bytes");
        }
    }
}
