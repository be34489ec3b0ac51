using System.Diagnostics;

namespace DtoKd.Engine;

/// <summary>
/// Where a device's time goes, by operation. Each moment counts for the operation that was begun last; what comes between two
/// steps, such as the optimiser, counts for <see cref="Outside"/>. On a GPU every kernel has a time of its own, named by the
/// operation that launched it; what is left to the operation itself is the host's work.
/// </summary>
/// <remarks>
/// For one thread that runs the steps. Costs a time stamp for each operation; on a GPU the host waits for every kernel, so that
/// the whole takes longer than without a profile.
/// </remarks>
public sealed class OpProfile
{
    /// <summary>The name of the time between steps.</summary>
    public const string Outside = "(between steps)";

    private readonly Dictionary<string, (long Ticks, long Calls)> _times = [];

    // Operations that are counted when they begin; those that have no input, such as one that fills, are by what they make.
    private readonly HashSet<string> _begun = [];
    private string _current = Outside;
    private long _since = Stopwatch.GetTimestamp();

    /// <summary>Operations, the backward rules by themselves, with the time spent in them; the longest first.</summary>
    public IEnumerable<(string Op, TimeSpan Time, long Calls)> Entries =>
        _times.Select(entry => (entry.Key, Stopwatch.GetElapsedTime(0, entry.Value.Ticks), entry.Value.Calls))
            .OrderByDescending(entry => entry.Item2);

    /// <summary>Forgets everything so far.</summary>
    public void Clear()
    {
        Switch(Outside);
        _times.Clear();
    }

    /// <summary>Ends the current operation's time and begins another's.</summary>
    internal void Enter(string op)
    {
        var (ticks, calls) = _times.GetValueOrDefault(op);
        _times[op] = (ticks, calls + 1);
        Switch(op);
    }

    /// <summary>An operation begins.</summary>
    internal void Begin(string op)
    {
        _begun.Add(op);
        Enter(op);
    }

    /// <summary>An operation makes a result: whatever it called before, the time is its own again.</summary>
    internal void Make(string op)
    {
        if (_begun.Contains(op))
            Switch(op);
        else
            Enter(op);
    }

    /// <summary>Begins the time of a kernel of the current operation.</summary>
    /// <returns>The operation, for <see cref="Leave"/>.</returns>
    internal string EnterKernel(string name)
    {
        string op = _current;
        Enter($"{op}: {name}");
        return op;
    }

    /// <summary>Goes back to an operation when its kernel has run.</summary>
    internal void Leave(string op) => Switch(op);

    private void Switch(string op)
    {
        long now = Stopwatch.GetTimestamp();
        var (ticks, calls) = _times.GetValueOrDefault(_current);
        _times[_current] = (ticks + now - _since, calls);
        (_current, _since) = (op, now);
    }
}
