namespace DtoKd.Tests;

/// <summary>Counts what code allocates on the managed heap.</summary>
internal static class Allocation
{
    private const int Attempts = 5;

    /// <summary>
    /// The bytes that some code allocates on this thread when it runs again and again: the least of a few runs. A collection that
    /// another thread starts meanwhile charges this thread with the unused rest of its allocation buffer, so one run alone may
    /// count some kilobytes that nobody asked for.
    /// </summary>
    /// <param name="work">The code; warm if its first run may allocate.</param>
    public static long Of(Action work)
    {
        long least = long.MaxValue;
        for (int i = 0; i < Attempts && least > 0; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            work();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
