namespace DtoKd.Models.Checkpoints;

/// <summary>
/// The tensors of a checkpoint by timm's names, whoever wrote it: the network's tensors are found among what else a training run
/// saves, wrappers' prefixes are taken off, and other libraries' names are translated. Every decision is noted.
/// </summary>
public sealed class CheckpointNames
{
    // Keys that training programs save a network under, and prefixes that wrappers put before its names.
    private static readonly string[] _weights = ["model", "state_dict", "model_state_dict", "module"];

    private static readonly string[] _averages = ["model_ema", "state_dict_ema", "ema", "module_ema"];

    private readonly Dictionary<string, CheckpointEntry> _entries = new(StringComparer.Ordinal);
    private readonly List<string> _notes = [];
    private bool _tookAverage;

    private CheckpointNames()
    {
    }

    /// <summary>The file's tensors by timm's names.</summary>
    public IReadOnlyDictionary<string, CheckpointEntry> Entries => _entries;

    /// <summary>What was chosen and translated, one line each; empty when the file has timm's names as they are.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Finds a network in a checkpoint.</summary>
    /// <param name="file">The checkpoint.</param>
    /// <param name="average">Whether to take the average of the weights over the training run where the file has both.</param>
    /// <exception cref="InvalidDataException">Two tensors get the same name.</exception>
    public static CheckpointNames Of(CheckpointReader file, bool average = false)
    {
        var names = new CheckpointNames();
        var found = file.Entries.Select(entry => (entry.Name, Entry: entry)).ToList();
        while (names.Inner(found, average) is { } inner)
            found = inner;
        if (average && !names._tookAverage)
            names._notes.Add($"there is no average of the weights (under {string.Join(", ", _averages)}): the weights themselves are taken");

        var present = found.Select(pair => pair.Name).ToHashSet(StringComparer.Ordinal);
        var map = KeyMap.All.FirstOrDefault(map => map.Describes(present));
        int leftOut = 0;
        foreach (var (name, entry) in found)
        {
            string? timm = map is null ? name : map.ToTimm(name);
            if (timm is null)
                leftOut++;
            else if (!names._entries.TryAdd(timm, entry))
                throw new InvalidDataException($"{file.FilePath}: {Quoting.Quote(names._entries[timm].Name)} and {Quoting.Quote(entry.Name)} are both {timm}");
        }

        if (map is not null)
            names._notes.Add($"names of {map.Source}: {names._entries.Count} tensors{(leftOut > 0 ? $", {leftOut} index and mask buffers left out" : "")}");
        return names;
    }

    /// <summary>What lies under a key or behind a prefix that is not the network's own; null when there is none.</summary>
    private List<(string Name, CheckpointEntry Entry)>? Inner(List<(string Name, CheckpointEntry Entry)> found, bool average)
    {
        string? key = (average ? _averages.Concat(_weights) : _weights.Concat(_averages))
            .FirstOrDefault(key => found.Exists(pair => IsUnder(pair.Name, key)));
        if (key is null)
            return null;
        _tookAverage |= _averages.Contains(key);
        var others = found.Where(pair => !IsUnder(pair.Name, key))
            .GroupBy(pair => pair.Name.Split('.')[0])
            .Select(group => $"{group.Count()} under {Quoting.OneLine(group.Key)}")
            .ToList();
        var inner = found.Where(pair => IsUnder(pair.Name, key)).Select(pair => (pair.Name[(key.Length + 1)..], pair.Entry)).ToList();
        const int Most = 6;
        string more = others.Count > Most ? " and others" : "";
        _notes.Add($"{inner.Count} tensors under {key}" + (others.Count > 0 ? $", left out {string.Join(", ", others.Take(Most))}{more}" : ""));
        return inner;
    }

    private static bool IsUnder(string name, string key) =>
        name.Length > key.Length + 1 && name[key.Length] == '.' && name.StartsWith(key, StringComparison.Ordinal);
}
