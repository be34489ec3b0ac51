using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>
/// The format of <c>torch.save</c> before 1.6 (and with <c>_use_new_zipfile_serialization=False</c>): five pickles (a magic number,
/// the protocol, facts about the system, the object, the keys of the storages), then each storage in the order of the keys: a
/// little-endian count of elements in 8 bytes, and the elements.
/// </summary>
internal static class LegacyFormat
{
    private const int Protocol = 1001;
    private const int CountBytes = 8;

    private static readonly BigInteger Magic =
        BigInteger.Parse("1950a86a20f9469cfc6c", NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary>Reads the description.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or not allowed.</exception>
    internal static TorchTree Read(FileBytes file)
    {
        var storages = new Dictionary<string, TorchStorage>();
        var views = new List<TorchStorage>();
        long at = 0;
        object? Next(string what, Func<PickleTuple, TorchStorage> storage)
        {
            var rest = file.Slice(at, (int)Math.Min(file.Length - at, ZipFormat.MaxPickleBytes));
            var machine = new PickleMachine(rest, $"{file.Path}: the {what} at {at}", storage);
            object? value = machine.Run();
            at += machine.Consumed;
            return value;
        }
        TorchStorage NoStorage(PickleTuple id) => throw new InvalidDataException($"{file.Path}: a storage before the object");

        if (Next("magic number", NoStorage) is not BigInteger magic || magic != Magic)
            throw new InvalidDataException($"{file.Path}: a pickle, but none of PyTorch's (another magic number)");
        if (Next("protocol", NoStorage) is not (long)Protocol)
            throw new InvalidDataException($"{file.Path}: the file's protocol is not {Protocol}");
        if (Next("system's facts", NoStorage) is not PickleDict system
            || system.Pairs.Any(pair => pair is { Key: "little_endian", Value: not true }))
        {
            throw new InvalidDataException($"{file.Path}: the storages are not little-endian; save the file on such a machine");
        }
        long objectAt = at;
        object? root = Next("object", id => Storage(file.Path, id, storages, views));
        long objectBytes = at - objectAt;
        var keys = Next("list of storages", NoStorage) as PickleList
            ?? throw new InvalidDataException($"{file.Path}: the list of storages is missing");
        Locate(file, at, keys, storages);
        foreach (var view in views)
            view.FileOffset = view.ViewOf!.Value.Root.FileOffset + view.ViewOf.Value.Offset * view.Type.ByteWidth();
        return TorchTree.Flatten(file.Path, file.Length, objectBytes, root);
    }

    private static TorchStorage Storage(
        string file, PickleTuple id, Dictionary<string, TorchStorage> storages, List<TorchStorage> views)
    {
        var named = PersistentId.Read(file, id);
        if (!storages.TryGetValue(named.Key, out var storage))
            storages.Add(named.Key, storage = named);
        if (storage.Type != named.Type || storage.Count != named.Count)
            throw new InvalidDataException($"{file}: storage {Quoting.Quote(named.Key)} is described in two ways");
        if (id.Items is not [_, _, _, _, _, PickleTuple view, ..])
            return storage;

        if (view.Items is not [_, long offset and >= 0, long count and >= 0]
            || offset > storage.Count || count > storage.Count - offset)
            throw new InvalidDataException($"{file}: a view reaches beyond storage {Quoting.Quote(named.Key)}");
        var part = new TorchStorage(storage.Key, storage.Type, count) { ViewOf = (storage, offset) };
        views.Add(part);
        return part;
    }

    private static void Locate(FileBytes file, long at, PickleList keys, Dictionary<string, TorchStorage> storages)
    {
        foreach (object? key in keys.Items)
        {
            if (key is not string name || !storages.TryGetValue(name, out var storage))
                throw new InvalidDataException($"{file.Path}: the list of storages names one that the object does not have");
            if (storage.FileOffset >= 0)
                throw new InvalidDataException($"{file.Path}: storage {Quoting.Quote(name)} is listed twice");
            if (file.Length - at < CountBytes)
                throw new InvalidDataException($"{file.Path}: storage {Quoting.Quote(name)} is missing: the file is cut short");
            long count = BinaryPrimitives.ReadInt64LittleEndian(file.Slice(at, CountBytes));
            if (count != storage.Count)
            {
                throw new InvalidDataException(
                    $"{file.Path}: offset {at}: storage {Quoting.Quote(name)} has {count} elements, the object says {storage.Count}");
            }
            at += CountBytes;
            PersistentId.CheckSize(file.Path, storage, file.Length - at);
            storage.FileOffset = at;
            at += count * storage.Type.ByteWidth();
        }
        if (storages.Values.FirstOrDefault(storage => storage.FileOffset < 0) is { } missing)
            throw new InvalidDataException($"{file.Path}: storage {Quoting.Quote(missing.Key)} is not in the list of storages");
        if (at != file.Length)
            throw new InvalidDataException($"{file.Path}: {file.Length - at} bytes behind the last storage belong to none");
    }
}
