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
    private readonly ControlFlow _flow;
    private readonly List<(int Block, string Op, string[] Results, string[] Sources)> _moves = [];
    private readonly HashSet<string> _diverging = [];

    private Convergence(string ptx)
    {
        _flow = new ControlFlow(ptx);
        for (int i = 0; i < _flow.Count; i++)
            Read(i);
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
        return apart.Order().SelectMany(block => kernel._flow.Blocks[block]).FirstOrDefault(line => exchange.IsMatch(line));
    }

    private void Read(int block)
    {
        foreach (string line in _flow.Blocks[block])
        {
            var (bare, condition) = ControlFlow.Split(line);
            var operands = Operands().Match(bare);
            if (!operands.Success || NoResult().IsMatch(bare))
                continue;
            string[] sources = [.. Register().Matches(operands.Groups[3].Value).Select(match => match.Value)];
            if (condition is not null)
                sources = [.. sources, condition];
            _moves.Add((block, operands.Groups[1].Value, [.. Register().Matches(operands.Groups[2].Value).Select(match => match.Value)], sources));
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
            for (int i = 0; i < _flow.Count; i++)
            {
                if (_flow.Condition[i] is { } condition && _diverging.Contains(condition))
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
        var open = new Stack<int>(_flow.Next[branch]);
        while (open.TryPop(out int block))
        {
            if (block == _flow.Count || (block != branch && after[branch].Contains(block)) || !found.Add(block))
                continue;
            foreach (int next in _flow.Next[block])
                open.Push(next);
        }

        return found;
    }

    /// <summary>For each block, the blocks that every way from it to the end goes through.</summary>
    private HashSet<int>[] Postdominators()
    {
        int end = _flow.Count;
        HashSet<int>[] after = [.. Enumerable.Range(0, end + 1).Select(i => i == end ? [end] : Enumerable.Range(0, end + 1).ToHashSet())];
        bool changed;
        do
        {
            changed = false;
            for (int i = end - 1; i >= 0; i--)
            {
                var all = new HashSet<int>(after[_flow.Next[i][0]]);
                foreach (int next in _flow.Next[i].Skip(1))
                    all.IntersectWith(after[next]);
                all.Add(i);
                changed |= all.Count != after[i].Count;
                after[i] = all;
            }
        }
        while (changed);
        return after;
    }

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
