using System.Diagnostics;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Engine;

/// <summary>What a device could do at most: the yardsticks that kernels are held against.</summary>
public static class MachinePeak
{
    private const int Repetitions = 5;

    // Far beyond any cache.
    private const int CopiedFloats = 64 << 20;

    /// <summary>Measures fused multiply-adds of single precision on registers alone, with everything that the device has.</summary>
    /// <returns>Floating-point operations a second, two for each multiply-add; the best of a few runs.</returns>
    public static double FlopsPerSecond(Device device) =>
        device is CpuDevice cpu ? CpuPeak.FlopsPerSecond(cpu) : GpuPeak.FlopsPerSecond((GpuDevice)device);

    /// <summary>Measures copying from one large block of the device's memory to another.</summary>
    /// <returns>Bytes a second, read and written ones together; the best of a few runs.</returns>
    public static double CopyBytesPerSecond(Device device)
    {
        using var step = Step.Evaluation(device);
        var from = step.Full([CopiedFloats], 1);
        var to = step.Full([CopiedFloats], 0);
        return 2.0 * sizeof(float) * CopiedFloats / Best(device, () => Copy(device, from, to));
    }

    /// <summary>
    /// Measures how long one processor waits for a line of the cache that another has just written: some 30 ns behind the same L3, 150
    /// behind different ones. A virtual machine's processors may change from one to the other while it runs.
    /// </summary>
    /// <returns>Seconds, one way, the median of a few runs; null where only one thread or processor computes.</returns>
    public static double? ExchangeSeconds(Device device) =>
        device is CpuDevice { Team.Threads: > 1 } && Environment.ProcessorCount > 1 ? CpuPeak.ExchangeSeconds() : null;

    /// <summary>Copies as fast as the device can.</summary>
    /// <param name="device">That of both tensors.</param>
    /// <param name="from">A contiguous tensor of single precision that begins its block.</param>
    /// <param name="to">Another of the same size.</param>
    public static void Copy(Device device, Tensor from, Tensor to)
    {
        if (device is CpuDevice cpu)
            CpuPeak.Copy(cpu, from, to);
        else
            GpuPeak.Copy((GpuDevice)device, from, to);
    }

    /// <summary>The seconds of the fastest of a few runs.</summary>
    internal static double Best(Device device, Action work)
    {
        double best = double.MaxValue;
        for (int i = 0; i < Repetitions; i++)
        {
            device.Synchronize();
            long start = Stopwatch.GetTimestamp();
            work();
            device.Synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }
}
