using System.Text.RegularExpressions;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>
/// Finds exchanges between threads (shuffles, barriers, tensor products) that not all threads of a warp come to: on a card they hang or give
/// nonsense, on the emulator they work. ILGPU makes them where the source has none, when it follows a condition with two copies
/// of what comes after.
/// </summary>
/// <remarks>
/// A branch diverges if its condition comes from the thread's number: through arithmetic, through loads at an address that does, or
/// through a value that is chosen where threads are apart. What lies between such a branch and the point where its ways meet
/// again must hold no exchange.
/// </remarks>
internal sealed partial class Convergence
{
    private readonly List<List<string>> _blocks = [[]];
    private readonly Dictionary<string, int> _labels = [];
    private readonly List<(int Block, string Op, string[] Results, string[] Sources)> _moves = [];
    private readonly List<int>[] _next;
    private readonly string?[] _condition;
    private readonly HashSet<string> _diverging = [];

    private Convergence(string ptx)
    {
        foreach (string raw in ptx[ptx.IndexOf(".entry", StringComparison.Ordinal)..].Split('\n').Skip(1))
        {
            string line = raw.Trim();
            if (Label().Match(line) is { Success: true } label)
            {
                _labels[label.Groups[1].Value] = _blocks.Count;
                _blocks.Add([]);
            }
            else if (line.EndsWith(';') && !line.StartsWith('.'))
            {
                _blocks[^1].Add(line);
                if (Leaving().IsMatch(line))
                    _blocks.Add([]);
            }
        }

        int end = _blocks.Count;
        _next = [.. Enumerable.Range(0, end + 1).Select(_ => new List<int>())];
        _condition = new string?[end];
        for (int i = 0; i < end; i++)
            Follow(i, end);
    }

    /// <summary>The first exchange that some threads may miss, or null.</summary>
    public static string? Problem(string ptx)
    {
        // A shuffle that all lanes take from one makes a warp agree, which is enough for an exchange in it, but not the group.
        return Missed(ptx, oneLaneAgrees: true, Exchange()) ?? Missed(ptx, oneLaneAgrees: false, Barrier());
    }

    private static string? Missed(string ptx, bool oneLaneAgrees, Regex exchange)
    {
        var kernel = new Convergence(ptx);
        var apart = kernel.Apart(oneLaneAgrees);
        return apart.Order().SelectMany(block => kernel._blocks[block]).FirstOrDefault(line => exchange.IsMatch(line));
    }

    private void Follow(int i, int end)
    {
        foreach (string line in _blocks[i])
        {
            var guard = Guard().Match(line);
            string bare = line[guard.Length..].TrimEnd(';');
            var operands = Operands().Match(bare);
            if (operands.Success && !NoResult().IsMatch(bare))
            {
                string[] sources = [.. Register().Matches(operands.Groups[3].Value).Select(match => match.Value)];
                if (guard.Success)
                    sources = [.. sources, guard.Groups[1].Value];
                _moves.Add((i, operands.Groups[1].Value, [.. Register().Matches(operands.Groups[2].Value).Select(match => match.Value)], sources));
            }
        }

        string last = _blocks[i].Count > 0 ? _blocks[i][^1] : "";
        if (Jump().Match(last) is { Success: true } jump)
        {
            _next[i].Add(_labels[jump.Groups[2].Value]);
            if (!jump.Groups[1].Success)
                return;
            _condition[i] = jump.Groups[1].Value;
            _next[i].Add(i + 1);
        }
        else
        {
            _next[i].Add(last.StartsWith("ret", StringComparison.Ordinal) ? end : i + 1);
        }
    }

    /// <summary>The blocks that some threads of a warp may run without the others.</summary>
    private HashSet<int> Apart(bool oneLaneAgrees)
    {
        var after = Postdominators();
        var written = _moves.SelectMany(move => move.Results.Distinct()).GroupBy(name => name).ToDictionary(group => group.Key, group => group.Count());
        var apart = new HashSet<int>();
        int before;
        do
        {
            before = _diverging.Count;
            for (int i = 0; i < _condition.Length; i++)
            {
                if (_condition[i] is { } condition && _diverging.Contains(condition))
                    apart.UnionWith(Between(i, after));
            }

            foreach (var (block, op, results, sources) in _moves)
            {
                if (oneLaneAgrees && op.StartsWith("shfl.sync.idx", StringComparison.Ordinal) && sources.Length == 1)
                    continue;
                bool chosen = op.StartsWith("mov", StringComparison.Ordinal) && apart.Contains(block) && results.Any(name => written[name] > 1);
                if (chosen || sources.Any(name => _diverging.Contains(name) || name.StartsWith("%tid", StringComparison.Ordinal) || name == "%laneid"))
                    _diverging.UnionWith(results);
            }
        }
        while (_diverging.Count > before);
        return apart;
    }

    private HashSet<int> Between(int branch, HashSet<int>[] after)
    {
        var found = new HashSet<int>();
        var open = new Stack<int>(_next[branch]);
        while (open.TryPop(out int block))
        {
            if (block == _blocks.Count || (block != branch && after[branch].Contains(block)) || !found.Add(block))
                continue;
            foreach (int next in _next[block])
                open.Push(next);
        }

        return found;
    }

    /// <summary>For each block, the blocks that every way from it to the end goes through.</summary>
    private HashSet<int>[] Postdominators()
    {
        int end = _blocks.Count;
        HashSet<int>[] after = [.. Enumerable.Range(0, end + 1).Select(i => i == end ? [end] : Enumerable.Range(0, end + 1).ToHashSet())];
        bool changed;
        do
        {
            changed = false;
            for (int i = end - 1; i >= 0; i--)
            {
                var all = new HashSet<int>(after[_next[i][0]]);
                foreach (int next in _next[i].Skip(1))
                    all.IntersectWith(after[next]);
                all.Add(i);
                changed |= all.Count != after[i].Count;
                after[i] = all;
            }
        }
        while (changed);
        return after;
    }

    [GeneratedRegex(@"^([A-Za-z_$][\w$]*):$")]
    private static partial Regex Label();

    [GeneratedRegex(@"^(@!?%p\d+\s+)?(bra|ret)\b")]
    private static partial Regex Leaving();

    [GeneratedRegex(@"^(?:@!?(%p\d+)\s+)?bra(?:\.uni)?\s+(\w+);")]
    private static partial Regex Jump();

    [GeneratedRegex(@"^@!?(%p\d+)\s+")]
    private static partial Regex Guard();

    [GeneratedRegex(@"^(\S+)\s+(\{[^}]*\}|[^,]+),(.*)$")]
    private static partial Regex Operands();

    [GeneratedRegex(@"%\w+(?:\.\w)?")]
    private static partial Regex Register();

    [GeneratedRegex(@"^(bra|ret|bar|st|red|cp|membar)\b")]
    private static partial Regex NoResult();

    [GeneratedRegex(@"\b(shfl\.sync|bar\.|barrier|mma\.sync|ldmatrix|vote)")]
    private static partial Regex Exchange();

    [GeneratedRegex(@"\b(bar\.|barrier)")]
    private static partial Regex Barrier();
}
