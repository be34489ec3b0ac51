using System.Text.RegularExpressions;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>A kernel's instructions in blocks that are run from their first to their last, and which block follows which.</summary>
internal sealed partial class ControlFlow
{
    private readonly Dictionary<string, int> _labels = [];

    public ControlFlow(string ptx)
    {
        List<List<string>> blocks = [[]];
        foreach (string raw in ptx[ptx.IndexOf(".entry", StringComparison.Ordinal)..].Split('\n').Skip(1))
        {
            string line = raw.Trim();
            if (Label().Match(line) is { Success: true } label)
            {
                _labels[label.Groups[1].Value] = blocks.Count;
                blocks.Add([]);
            }
            else if (line.EndsWith(';') && !line.StartsWith('.'))
            {
                blocks[^1].Add(line);
                if (Leaving().IsMatch(line))
                    blocks.Add([]);
            }
        }

        Blocks = blocks;
        Next = [.. Enumerable.Range(0, Count + 1).Select(_ => new List<int>())];
        Condition = new string?[Count];
        for (int i = 0; i < Count; i++)
            Follow(i);
    }

    public IReadOnlyList<IReadOnlyList<string>> Blocks { get; }

    /// <summary>The number of blocks, and what follows the last one.</summary>
    public int Count => Blocks.Count;

    /// <summary>The blocks that may follow a block.</summary>
    public IReadOnlyList<List<int>> Next { get; }

    /// <summary>What decides which one does; null where there is no choice.</summary>
    public string?[] Condition { get; }

    /// <summary>An instruction without its condition, and the condition.</summary>
    public static (string Bare, string? Condition) Split(string line)
    {
        var guard = Guard().Match(line);
        return (line[guard.Length..].TrimEnd(';'), guard.Success ? guard.Groups[1].Value : null);
    }

    private void Follow(int i)
    {
        string last = Blocks[i].Count > 0 ? Blocks[i][^1] : "";
        if (Jump().Match(last) is { Success: true } jump)
        {
            Next[i].Add(_labels[jump.Groups[2].Value]);
            if (!jump.Groups[1].Success)
                return;
            Condition[i] = jump.Groups[1].Value;
            Next[i].Add(i + 1);
        }
        else
        {
            Next[i].Add(last.StartsWith("ret", StringComparison.Ordinal) ? Count : i + 1);
        }
    }

    [GeneratedRegex(@"^([A-Za-z_$][\w$]*):$")]
    private static partial Regex Label();

    [GeneratedRegex(@"^(@!?%p\d+\s+)?(bra|ret)\b")]
    private static partial Regex Leaving();

    [GeneratedRegex(@"^(?:@!?(%p\d+)\s+)?bra(?:\.uni)?\s+(\w+);")]
    private static partial Regex Jump();

    [GeneratedRegex(@"^@!?(%p\d+)\s+")]
    private static partial Regex Guard();
}
