using System.Diagnostics;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Training.Benchmarks;

/// <summary>How much faster a team of threads computes than one thread.</summary>
/// <param name="What">The workload.</param>
/// <param name="Threads">Members of the team.</param>
/// <param name="Pairs">Runs on one thread and on the team, next to each other.</param>
/// <param name="OneMilliseconds">The median on one thread.</param>
/// <param name="TeamMilliseconds">The median on the team.</param>
/// <param name="Ratio">The median of the pairs' ratios.</param>
/// <param name="NearPairs">Pairs before, within and after which a line of the cache went from core to core as behind one L3.</param>
/// <param name="NearRatio">The median of their ratios; null where there are none.</param>
/// <param name="LeastExchange">Seconds of a line from core to core, the shortest; null where one processor computes.</param>
/// <param name="MostExchange">The longest.</param>
public sealed record Scaling(
    string What,
    int Threads,
    int Pairs,
    double OneMilliseconds,
    double TeamMilliseconds,
    double Ratio,
    int NearPairs,
    double? NearRatio,
    double? LeastExchange,
    double? MostExchange)
{
    // Behind one L3 a line takes 20 to 60 ns, behind different ones from 100 ns on.
    private const double NearSeconds = 80e-9;

    /// <summary>What pairs of runs amount to.</summary>
    /// <param name="what">The workload.</param>
    /// <param name="threads">Members of the team.</param>
    /// <param name="milliseconds">For each pair the time on the team and, after it, on one thread.</param>
    /// <param name="exchanges">Seconds of a line from core to core, before the first run and after every one: two a pair and one.</param>
    internal static Scaling Of(string what, int threads, (double Team, double One)[] milliseconds, double?[] exchanges)
    {
        double[] ratios = [.. milliseconds.Select(pair => pair.One / pair.Team)];
        double[] near = [.. ratios.Where((_, i) => exchanges[(2 * i)..((2 * i) + 3)].Max() < NearSeconds)];
        return new Scaling(
            what,
            threads,
            ratios.Length,
            Median(milliseconds.Select(pair => pair.One)),
            Median(milliseconds.Select(pair => pair.Team)),
            Median(ratios),
            near.Length,
            near.Length == 0 ? null : Median(near),
            exchanges.Min(),
            exchanges.Max());
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}

/// <summary>
/// The same workload on one thread and on a team, turn by turn in one process: a shared machine changes from minute to minute, and a virtual
/// one's cores may share an L3 at one time and not at another (<see cref="MachinePeak.ExchangeSeconds"/>).
/// </summary>
public static class ScalingBenchmark
{
    private const int WarmUp = 2;

    /// <summary>Runs it.</summary>
    /// <param name="one">A device of one thread.</param>
    /// <param name="team">A device of several.</param>
    /// <param name="prepare">Makes the workload on a device.</param>
    /// <param name="pairs">Runs of each, at least 1.</param>
    /// <param name="cancellation">Checked between runs.</param>
    public static Scaling Run(
        CpuDevice one, CpuDevice team, Func<CpuDevice, Workload> prepare, int pairs, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pairs, 1);
        using Workload alone = prepare(one), shared = prepare(team);
        for (int i = 0; i < WarmUp; i++)
        {
            Milliseconds(shared, cancellation);
            Milliseconds(alone, cancellation);
        }

        var times = new (double Team, double One)[pairs];
        var exchanges = new double?[(2 * pairs) + 1];
        exchanges[0] = MachinePeak.ExchangeSeconds(team);
        for (int i = 0; i < pairs; i++)
        {
            times[i].Team = Milliseconds(shared, cancellation);
            exchanges[(2 * i) + 1] = MachinePeak.ExchangeSeconds(team);
            times[i].One = Milliseconds(alone, cancellation);
            exchanges[(2 * i) + 2] = MachinePeak.ExchangeSeconds(team);
        }

        return Scaling.Of(shared.Name, team.Team.Threads, times, exchanges);
    }

    private static double Milliseconds(Workload workload, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        workload.Run();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
