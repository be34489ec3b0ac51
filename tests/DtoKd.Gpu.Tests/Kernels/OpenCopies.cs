using System.Text.RegularExpressions;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>
/// Finds stores to shared memory, and ends of kernels, while asynchronous copies may be under way: those of nothing write zeros
/// too, and may do so after what was stored. The emulator never makes copies that nobody waits for, so it does not show this.
/// </summary>
internal static partial class OpenCopies
{
    /// <summary>The first instruction that comes while copies are under way, or null.</summary>
    public static string? Problem(string ptx)
    {
        var kernel = new ControlFlow(ptx);
        var isOpen = new bool[kernel.Count + 1];
        var left = new Queue<int>(Enumerable.Range(0, kernel.Count));
        while (left.TryDequeue(out int block))
        {
            bool open = Through(kernel.Blocks[block], isOpen[block], out string? problem);
            if (problem is not null)
                return problem;
            foreach (int next in kernel.Next[block].Where(next => open && !isOpen[next]))
            {
                isOpen[next] = true;
                if (next < kernel.Count)
                    left.Enqueue(next);
            }
        }

        return null;
    }

    private static bool Through(IReadOnlyList<string> block, bool open, out string? problem)
    {
        problem = null;
        foreach (string line in block)
        {
            if (Copy().IsMatch(line))
                open = true;
            else if (AwaitAll().IsMatch(line))
                open = false;
            else if (open && Ends().IsMatch(line))
                problem ??= line;
        }

        return open;
    }

    [GeneratedRegex(@"^cp\.async\.c[ag]\.")]
    private static partial Regex Copy();

    [GeneratedRegex(@"^cp\.async\.wait_(all|group\s+0\b)")]
    private static partial Regex AwaitAll();

    [GeneratedRegex(@"^(st\.shared|ret)\b")]
    private static partial Regex Ends();
}
