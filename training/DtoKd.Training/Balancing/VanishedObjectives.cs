namespace DtoKd.Training.Balancing;

/// <summary>
/// Leaves out of a step the objectives whose gradient vanishes beside the others': the shortest point of the hull would be theirs,
/// and the step would vanish with it.
/// </summary>
internal static class VanishedObjectives
{
    internal static double CheckRatio(double ratio) => ratio >= 0 && ratio < 1
        ? ratio
        : throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "the vanish ratio lies in [0, 1)");

    /// <summary>Marks who is left out and lists the others.</summary>
    /// <param name="ratio">An objective is left out when its norm is at most this share of the largest.</param>
    /// <param name="norms">[K] of the gradients. Where all are zero there is nothing to protect: all stay.</param>
    /// <param name="dropped">[K], receives the marks.</param>
    /// <param name="kept">[K], receives the indices of those that stay, in order.</param>
    /// <returns>How many stay.</returns>
    internal static int Drop(double ratio, ReadOnlySpan<double> norms, Span<bool> dropped, Span<int> kept)
    {
        double longest = 0;
        foreach (double norm in norms)
            longest = Math.Max(longest, norm);
        int count = 0;
        for (int k = 0; k < norms.Length; k++)
        {
            dropped[k] = longest > 0 && norms[k] <= ratio * longest;
            if (!dropped[k])
                kept[count++] = k;
        }

        return count;
    }
}
