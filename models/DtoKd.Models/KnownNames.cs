namespace DtoKd.Models;

/// <summary>What is said about a name that stands for nothing.</summary>
public static class KnownNames
{
    // One slip for every four letters, and one in names that are shorter; from two letters nothing can be guessed.
    private const int LettersForASlip = 4;
    private const int ShortestName = 3;
    private const int MostNear = 4;

    /// <summary>The message: the names that were probably meant, or all if none is near.</summary>
    /// <param name="what">What the name should stand for, such as "model".</param>
    /// <param name="name">The name given.</param>
    /// <param name="known">The names that there are.</param>
    public static string Unknown(string what, string name, IEnumerable<string> known)
    {
        string[] all = [.. known], near = [.. Near(name, all)];
        return near.Length > 0
            ? $"unknown {what} '{name}'; did you mean {string.Join(" or ", near)}?"
            : $"unknown {what} '{name}'; known are {string.Join(", ", all)}";
    }

    /// <summary>The names that begin with this one, or nearly so: the fewest slips first, then the shortest.</summary>
    private static IEnumerable<string> Near(string name, string[] known)
    {
        if (name.Length < ShortestName)
            return [];
        var nearest = known.GroupBy(other => Slips(name.ToLowerInvariant(), other.ToLowerInvariant())).MinBy(group => group.Key);
        return nearest is not null && nearest.Key <= Math.Max(1, name.Length / LettersForASlip)
            ? nearest.OrderBy(other => other.Length).Take(MostNear)
            : [];
    }

    /// <summary>
    /// The letters to insert, leave out, replace or swap with the next (Damerau 1964) that make a text the beginning of another.
    /// </summary>
    private static int Slips(string text, string other)
    {
        // [i, j] is for the first i letters of the text and j of the other.
        int[,] slips = new int[text.Length + 1, other.Length + 1];
        for (int i = 0; i <= text.Length; i++)
        {
            for (int j = 0; j <= other.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    slips[i, j] = i + j;
                    continue;
                }

                int replaced = slips[i - 1, j - 1] + (text[i - 1] == other[j - 1] ? 0 : 1);
                slips[i, j] = Math.Min(replaced, 1 + Math.Min(slips[i - 1, j], slips[i, j - 1]));
                if (i > 1 && j > 1 && text[i - 1] == other[j - 2] && text[i - 2] == other[j - 1])
                    slips[i, j] = Math.Min(slips[i, j], slips[i - 2, j - 2] + 1);
            }
        }

        return Enumerable.Range(0, other.Length + 1).Min(j => slips[text.Length, j]);
    }
}
