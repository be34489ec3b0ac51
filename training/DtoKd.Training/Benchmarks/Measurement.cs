using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Training.Benchmarks;

/// <summary>How long some work took, and what it did with the time.</summary>
/// <param name="What">The workload, as the command line names it.</param>
/// <param name="Device">Where it ran: <c>cpu</c>, or a card's place and name.</param>
/// <param name="Threads">Threads that computed; 1 with a card, the one that gives it work.</param>
/// <param name="MedianMilliseconds">The median of the timed runs.</param>
/// <param name="LeastMilliseconds">The fastest.</param>
/// <param name="MostMilliseconds">The slowest.</param>
/// <param name="PerSecond">Units of work a second, at the median.</param>
/// <param name="Unit">The unit: <c>flop</c>, <c>bytes</c>, <c>images</c> or <c>items</c>.</param>
/// <param name="ShareOfPeak">
/// Of <see cref="MachinePeak"/>: arithmetic where the work is bound by it, bytes moved where it is bound by memory; null where
/// neither is known.
/// </param>
/// <param name="PeakBytes">The most memory the process has held; of a card, the most that tensors have.</param>
/// <param name="ManagedBytes">Bytes allocated on the managed heap in one run.</param>
/// <param name="FullCollections">Collections of the oldest generation during the timed runs.</param>
/// <param name="Card">What only a card has; null for the processor.</param>
public sealed record Measurement(
    string What,
    string Device,
    int Threads,
    double MedianMilliseconds,
    double LeastMilliseconds,
    double MostMilliseconds,
    double PerSecond,
    string Unit,
    double? ShareOfPeak,
    long PeakBytes,
    long ManagedBytes,
    int FullCollections,
    CardWork? Card)
{
    private const int LeastWarmUp = 2;

    private static readonly JsonSerializerOptions _json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Times a workload: a quarter as many runs to warm up, at least two, then the timed ones.</summary>
    /// <param name="device">What it runs on.</param>
    /// <param name="workload">The work.</param>
    /// <param name="iterations">Timed runs, at least 1.</param>
    /// <param name="cancellation">Checked between runs.</param>
    public static Measurement Of(Device device, Workload workload, int iterations, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        for (int i = 0; i < Math.Max(LeastWarmUp, iterations / 4); i++)
        {
            cancellation.ThrowIfCancellationRequested();
            workload.Run();
        }

        device.Synchronize();
        device.Profile?.Clear();
        var card = device as GpuDevice;
        var before = new CardWork(card?.Launches ?? 0, card?.HostReads ?? 0, card?.Uploads ?? 0, card?.MatmulPrecision ?? default);
        var milliseconds = new double[iterations];
        int collections = GC.CollectionCount(GC.MaxGeneration);
        long allocated = GC.GetTotalAllocatedBytes();
        for (int i = 0; i < iterations; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            for (int repeat = 0; repeat < workload.Repeats; repeat++)
                workload.Run();
            device.Synchronize();
            milliseconds[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds / workload.Repeats;
        }

        var work = card is null ? null : before with
        {
            Launches = (card.Launches - before.Launches) / (iterations * workload.Repeats),
            HostReads = (card.HostReads - before.HostReads) / (iterations * workload.Repeats),
            Uploads = (card.Uploads - before.Uploads) / (iterations * workload.Repeats),
        };
        // What follows is not the workload's.
        device.Profile = null;
        allocated = GC.GetTotalAllocatedBytes() - allocated;
        collections = GC.CollectionCount(GC.MaxGeneration) - collections;
        Array.Sort(milliseconds);
        double median = milliseconds[iterations / 2];
        // Before the machine's own peak is measured, which takes memory too.
        long peakBytes = card?.Pool.PeakBytes ?? Process.GetCurrentProcess().PeakWorkingSet64;
        return new Measurement(
            workload.Name,
            card is null ? device.Name : $"{card.Name} {card.Model}",
            (device as CpuDevice)?.Team.Threads ?? 1,
            median,
            milliseconds[0],
            milliseconds[^1],
            workload.Units * 1e3 / median,
            workload.Unit,
            workload.LeastSeconds(device) * 1e3 / median,
            peakBytes,
            allocated / (iterations * workload.Repeats),
            collections,
            work);
    }

    /// <summary>One line of JSON. The first keys are those of the peers in <c>benchmarks</c>.</summary>
    public string ToJson() => JsonSerializer.Serialize(new
    {
        engine = "dtokd",
        what = What,
        device = Device,
        threads = Threads,
        median_ms = Math.Round(MedianMilliseconds, 3),
        min_ms = Math.Round(LeastMilliseconds, 3),
        max_ms = Math.Round(MostMilliseconds, 3),
        per_s = double.Parse(FormattableString.Invariant($"{PerSecond:G5}"), System.Globalization.CultureInfo.InvariantCulture),
        unit = Unit,
        tflop_per_s = Unit == "flop" ? Math.Round(PerSecond / 1e12, 3) : (double?)null,
        gb_per_s = Unit == "bytes" ? Math.Round(PerSecond / 1e9, 1) : (double?)null,
        peak_mb = PeakBytes >> 20,
        share_of_peak = ShareOfPeak is { } share ? Math.Round(share, 3) : (double?)null,
        managed_kb = ManagedBytes >> 10,
        full_collections = FullCollections,
        launches = Card?.Launches,
        host_reads = Card?.HostReads,
        uploads = Card?.Uploads,
        precision = Card?.Precision.ToString().ToLowerInvariant(),
    }, _json);
}

/// <summary>What a card was given to do in one run.</summary>
/// <param name="Launches">Kernels launched.</param>
/// <param name="HostReads">Times the host waited for the card to read from it.</param>
/// <param name="Uploads">Copies to the card.</param>
/// <param name="Precision">Of products of matrices.</param>
public sealed record CardWork(long Launches, long HostReads, long Uploads, MatmulPrecision Precision);
