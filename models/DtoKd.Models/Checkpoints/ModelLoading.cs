using DtoKd.Engine;

namespace DtoKd.Models.Checkpoints;

/// <summary>One checkpoint on its way into one network: first every difference is looked for, then all is copied.</summary>
internal sealed class ModelLoading
{
    private const string PositionEmbedding = "pos_embed";
    private const string DistillationToken = "dist_token";
    private const string BiasTable = ".relative_position_bias_table";
    private const string Counter = ".num_batches_tracked";
    private const int MostListed = 12;

    private static readonly string[] _heads = ["head.", "head_dist.", "fc.", "linear.", "classifier."];

    private readonly CheckpointReader _file;
    private readonly LoadOptions _options;
    private readonly Device _device;
    private readonly Dictionary<string, Tensor> _wanted;
    private readonly Dictionary<string, CheckpointEntry> _given;
    private readonly List<string> _notes;
    private readonly List<string> _differences = [];
    private readonly List<Action> _copies = [];

    public ModelLoading(CheckpointReader file, ParameterArena arena, LoadOptions options)
    {
        (_file, _options, _device) = (file, options, arena.Device);
        var names = CheckpointNames.Of(file, options.Average);
        _notes = [.. names.Notes];
        _given = new Dictionary<string, CheckpointEntry>(names.Entries, StringComparer.Ordinal);
        _wanted = ModelFile.Named(arena).ToDictionary(pair => pair.Name, pair => pair.Value, StringComparer.Ordinal);
    }

    /// <summary>Copies everything, or throws before anything was changed.</summary>
    /// <returns>What was translated, fitted or left out.</returns>
    public IReadOnlyList<string> Run()
    {
        if (_options.DropHead)
            DropHead();
        int counters = 0;
        foreach (var (name, tensor) in _wanted)
        {
            if (_given.TryGetValue(name, out var entry))
                Take(name, tensor, entry);
            else if (name.EndsWith(Counter, StringComparison.Ordinal))
                counters++;
            else
                _differences.Add($"missing {name} {tensor.Shape}");
        }

        _differences.AddRange(_given
            .Where(pair => !_wanted.ContainsKey(pair.Key))
            .Select(pair => $"unexpected {Quoting.OneLine(pair.Key)} {pair.Value.ShapeText}"));
        if (_differences.Count > 0)
        {
            string more = _differences.Count > MostListed ? $"; and {_differences.Count - MostListed} more" : "";
            throw new InvalidDataException(
                $"{_file.FilePath} does not fit the network: {string.Join("; ", _differences.Take(MostListed))}{more}");
        }

        if (counters > 0)
            _notes.Add($"{counters} batch counters are not in the file and stay as they are");
        foreach (var copy in _copies)
            copy();
        return _notes;
    }

    private void DropHead()
    {
        bool IsHead(string name) => Array.Exists(_heads, head => name.StartsWith(head, StringComparison.Ordinal));
        var kept = _wanted.Keys.Where(IsHead).ToList();
        foreach (string name in kept)
            _wanted.Remove(name);
        foreach (string name in _given.Keys.Where(IsHead).ToList())
            _given.Remove(name);
        _notes.Add($"the file's classifier is left out; {string.Join(", ", kept)} stay as they are");
    }

    private void Take(string name, Tensor tensor, CheckpointEntry entry)
    {
        if (entry.Shape.SequenceEqual(tensor.Shape.Select(size => (long)size)))
            _copies.Add(() => ModelFile.Read(_file, entry.Name, tensor));
        else if (Fitted(name, tensor, entry) is { } values)
            _copies.Add(() => Write(tensor, values()));
        else
            _differences.Add($"{name} is {entry.ShapeText}, the network has {tensor.Shape}");
    }

    /// <summary>How to fit a table of positions to the network's size; null for what is no such table.</summary>
    private Func<float[]>? Fitted(string name, Tensor tensor, CheckpointEntry entry)
    {
        var shape = tensor.Shape;
        if (entry.Shape.Count != shape.Rank || entry.Shape[^1] != shape[^1])
            return null;
        if (name == PositionEmbedding && shape.Rank == 3 && entry.Shape[0] == 1)
        {
            int prefix = _wanted.ContainsKey(DistillationToken) ? 2 : 1;
            var (rows, columns) = _options.Grid ?? (Side(shape[1] - prefix), Side(shape[1] - prefix));
            if (Side(entry.Shape[1] - prefix) == 0 || rows * columns != shape[1] - prefix)
                return null;
            _notes.Add($"{name} fitted from {entry.ShapeText} to {shape}, bicubic");
            return () => Resizing.Positions(_device, _file.ReadFloat32(entry.Name), shape[2], prefix, rows, columns);
        }

        if (name.EndsWith(BiasTable, StringComparison.Ordinal) && shape.Rank == 2 && Side(entry.Shape[0]) > 1 && Side(shape[0]) > 0)
        {
            _notes.Add($"{name} fitted from {entry.ShapeText} to {shape}, linear in geometric progression");
            return () => Resizing.RelativeBias(_file.ReadFloat32(entry.Name), shape[1], Side(shape[0]));
        }
        return null;
    }

    /// <summary>The side of a square of so many positions; 0 when it is none.</summary>
    private static int Side(long positions)
    {
        int side = positions > 0 ? (int)Math.Sqrt(positions) : 0;
        return (long)side * side == positions ? side : 0;
    }

    private static void Write(Tensor tensor, float[] values)
    {
        if (tensor.DType == DType.F64)
            tensor.CopyFrom<double>(Array.ConvertAll(values, value => (double)value));
        else
            tensor.CopyFrom<float>(values);
    }
}
