using BenchmarkDotNet.Attributes;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Benchmarks;

namespace DtoKd.Benchmarks;

/// <summary>A workload of <c>dtokd bench</c> on the processor under BenchmarkDotNet, which adds deviations and the managed heap.</summary>
[MemoryDiagnoser]
public abstract class Suite
{
    private CpuDevice? _device;
    private Workload? _workload;

    /// <summary>Threads that compute.</summary>
    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; }

    /// <summary>One thread, and all of the machine's.</summary>
    public static IEnumerable<int> ThreadCounts => new[] { 1, Environment.ProcessorCount }.Distinct();

    /// <summary>Takes memory and makes inputs.</summary>
    [GlobalSetup]
    public void Prepare()
    {
        _device = new CpuDevice(Threads);
        _workload = Create(_device);
    }

    /// <summary>Returns it.</summary>
    [GlobalCleanup]
    public void Release()
    {
        _workload?.Dispose();
        _device?.Dispose();
    }

    /// <summary>The work that is timed.</summary>
    [Benchmark]
    public void Run() => _workload!.Run();

    /// <summary>Makes the work.</summary>
    protected abstract Workload Create(CpuDevice device);
}
