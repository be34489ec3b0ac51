using System.Diagnostics;

namespace DtoKd.Engine;

/// <summary>
/// Where a device's time goes, by operation. Each moment counts for the operation that was begun last; what comes between two
/// steps, such as the optimiser, counts for <see cref="Outside"/>.
/// </summary>
/// <remarks>For one thread that runs the steps. Costs a time stamp for each operation.</remarks>
public sealed class OpProfile
{
    /// <summary>The name of the time between steps.</summary>
    public const string Outside = "(between steps)";

    private readonly Dictionary<string, (long Ticks, long Calls)> _times = [];
    private string _current = Outside;
    private long _since = Stopwatch.GetTimestamp();

    /// <summary>Operations, the backward rules by themselves, with the time spent in them; the longest first.</summary>
    public IEnumerable<(string Op, TimeSpan Time, long Calls)> Entries =>
        _times.Select(entry => (entry.Key, Stopwatch.GetElapsedTime(0, entry.Value.Ticks), entry.Value.Calls))
            .OrderByDescending(entry => entry.Item2);

    /// <summary>Forgets everything so far.</summary>
    public void Clear()
    {
        Enter(Outside);
        _times.Clear();
    }

    /// <summary>Ends the current operation's time and begins another's.</summary>
    internal void Enter(string op)
    {
        long now = Stopwatch.GetTimestamp();
        var (ticks, calls) = _times.GetValueOrDefault(_current);
        _times[_current] = (ticks + now - _since, calls + 1);
        (_current, _since) = (op, now);
    }
}
