using System.Globalization;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Writes tensors as several safetensors files and an index. The index changes last and by a rename, and files it names are never
/// written over: whatever goes wrong, the checkpoint that was in the folder is still whole.
/// </summary>
public static class ShardedWriter
{
    /// <summary>
    /// Writes <c>model-00001-of-0000N.safetensors</c> and so on, then <c>model.safetensors.index.json</c>; then removes the files of
    /// the index that was there. Tensors go in the order of their names, and one that is larger than the limit gets its own file.
    /// </summary>
    /// <param name="folder">The folder, which must exist.</param>
    /// <param name="tensors">What to write; its metadata goes into every file.</param>
    /// <param name="maxShardBytes">Bytes of tensors that a file has at most.</param>
    /// <param name="cancellation">Looked at between tensors; a cancelled write leaves the old checkpoint.</param>
    /// <returns>The path of the index.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The limit is not positive.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static string Write(
        string folder, SafetensorsWriter tensors, long maxShardBytes, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxShardBytes);
        string index = Path.Combine(folder, ShardIndex.FileName);
        var replaced = OldShards(index);
        var shards = tensors.Split(maxShardBytes);
        string[] names = FreeNames(folder, shards.Count);
        var written = new List<string>();
        try
        {
            for (int i = 0; i < shards.Count; i++)
            {
                written.Add(Path.Combine(folder, names[i]));
                shards[i].Write(written[i], cancellation);
            }
            var map = shards.SelectMany((shard, i) => shard.Names.Select(tensor => (tensor, names[i])));
            byte[] json = ShardIndex.Format(shards.Sum(shard => shard.TotalBytes), map);
            AtomicFile.Write(index, stream => stream.Write(json));
        }
        catch
        {
            written.ForEach(File.Delete);
            throw;
        }
        foreach (string name in replaced)
            File.Delete(Path.Combine(folder, name));
        return index;
    }

    /// <summary>The usual names; with a number in the middle when a file of such a name is there.</summary>
    private static string[] FreeNames(string folder, int count)
    {
        for (int generation = 1; ; generation++)
        {
            string middle = generation == 1 ? "" : $"{generation.ToString(CultureInfo.InvariantCulture)}-";
            string prefix = $"model-{middle}";
            string[] names = [.. Enumerable.Range(1, count).Select(i => $"{prefix}{i:00000}-of-{count:00000}.safetensors")];
            if (!Array.Exists(names, name => File.Exists(Path.Combine(folder, name))))
                return names;
        }
    }

    /// <summary>The files of an index; none when it is absent or no index.</summary>
    private static string[] OldShards(string index)
    {
        if (!File.Exists(index))
            return [];
        try
        {
            return [.. ShardIndex.Parse(File.ReadAllBytes(index), index).Shards.Values.Distinct()];
        }
        catch (InvalidDataException)
        {
            return [];
        }
    }
}
