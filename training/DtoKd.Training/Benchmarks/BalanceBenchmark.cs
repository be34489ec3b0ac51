using System.Diagnostics;
using DtoKd.Engine;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Benchmarks;

/// <summary>What weighing the objectives costs.</summary>
/// <param name="What">A rule by its name, <c>min-norm</c>, or <c>gram</c>.</param>
/// <param name="Objectives">K.</param>
/// <param name="Microseconds">Time of one call, the median of several runs.</param>
/// <param name="Bytes">Bytes one call allocates on the managed heap, the least of the runs.</param>
/// <param name="ShareOfCopy">Bytes read a second as a share of <see cref="MachinePeak"/>'s copying; null where nothing is
/// streamed.</param>
public sealed record BalanceTiming(string What, int Objectives, double Microseconds, double Bytes, double? ShareOfCopy = null);

/// <summary>Times the rules of <see cref="BalancerRegistry"/> and the Gram matrix they are fed from.</summary>
public static class BalanceBenchmark
{
    /// <summary>Parameters of the gradients whose Gram matrix is timed: those of DeiT-S.</summary>
    public const int GramParameters = 22_000_000;

    private const int Runs = 7, UntimedCalls = 40, GramObjectives = 3, MinNormObjectives = 8, Seed = 1;

    private static readonly int[] _objectives = [2, 3, 8];

    /// <summary>Times all of it: every distinct rule at K = 2, 3, 8, the min-norm point at K = 8, the Gram matrix at K = 3.</summary>
    /// <param name="device">Where the Gram matrix is computed.</param>
    /// <param name="calls">Calls of a rule in each of the runs, at least 1.</param>
    /// <param name="gramParameters">Elements of each gradient whose Gram matrix is timed, at least 1.</param>
    /// <param name="stop">Ends the work between two timings.</param>
    public static IEnumerable<BalanceTiming> Run(
        Device device, int calls, int gramParameters = GramParameters, CancellationToken stop = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(calls, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(gramParameters, 1);
        foreach (var entry in BalancerRegistry.Distinct)
        {
            foreach (int n in _objectives)
            {
                stop.ThrowIfCancellationRequested();
                yield return Weighing(entry, n, calls);
            }
        }
        yield return ShortestMixture(calls);
        stop.ThrowIfCancellationRequested();
        yield return GramMatrix(device, gramParameters);
    }

    private static BalanceTiming Weighing(BalancerEntry entry, int n, int calls)
    {
        var rule = entry.Create(new BalancerOptions { Objectives = n, Task = n - 1 });
        double[] gram = Gram(n), losses = [.. Enumerable.Range(1, n).Select(k => 0.5 * k)];
        bool looksBack = rule.Needs.HasFlag(BalancerNeeds.LossesAfterStep);
        return Timed(entry.Name, n, calls, () =>
        {
            rule.Weigh(new StepSignals(losses, gram));
            if (looksBack)
                rule.AfterStep(losses);
        });
    }

    private static BalanceTiming ShortestMixture(int calls)
    {
        double[] gram = Gram(MinNormObjectives), weights = new double[MinNormObjectives];
        return Timed("min-norm", MinNormObjectives, calls, () => MinNorm.Solve(gram, weights));
    }

    private static BalanceTiming GramMatrix(Device device, int parameters)
    {
        using var step = Step.Evaluation(device);
        Tensor[] gradients = [.. Enumerable.Range(0, GramObjectives).Select(_ => step.Empty([parameters]))];
        foreach (var gradient in gradients)
        {
            using var values = gradient.OnHost<float>();
            step.NextRandom().FillNormal(values.Span);
        }

        FlatRange[] ranges = [new FlatRange(0, parameters)];
        var gram = new double[GramObjectives * GramObjectives];
        var timing = Timed("gram", GramObjectives, 1, () => Flat.Gram(gradients, ranges, gram));
        double bytes = (double)GramObjectives * parameters * sizeof(float);
        return timing with { ShareOfCopy = bytes / (1e-6 * timing.Microseconds) / MachinePeak.CopyBytesPerSecond(device) };
    }

    private static BalanceTiming Timed(string what, int n, int calls, Action call)
    {
        // The compiler rewrites what is called often, and not at once.
        for (int i = 0; i < Math.Max(UntimedCalls, calls); i++)
            call();
        var microseconds = new double[Runs];
        long least = long.MaxValue;
        for (int run = 0; run < Runs; run++)
        {
            long allocated = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++)
                call();
            // In the clock's own ticks: a TimeSpan counts in steps of 100 ns, which is several calls of the least of them.
            microseconds[run] = 1e6 * (Stopwatch.GetTimestamp() - start) / Stopwatch.Frequency / calls;
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - allocated);
        }
        Array.Sort(microseconds);
        return new BalanceTiming(what, n, microseconds[Runs / 2], (double)least / calls);
    }

    /// <summary>The Gram matrix of K gradients in general position, some of which conflict.</summary>
    private static double[] Gram(int n)
    {
        var random = new Random(Seed);
        double[][] g = [.. Enumerable.Range(0, n).Select(_ =>
            Enumerable.Range(0, 2 * n).Select(_ => random.NextDouble() - 0.4).ToArray())];
        var gram = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                gram[i * n + j] = Flat.Dot((ReadOnlySpan<double>)g[i], g[j]);
        }
        return gram;
    }
}
