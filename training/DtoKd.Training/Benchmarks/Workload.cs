using DtoKd.Engine;

namespace DtoKd.Training.Benchmarks;

/// <summary>Work that is timed again and again.</summary>
/// <param name="name">What it is, as the command line names it.</param>
/// <param name="units">How many units one run does.</param>
/// <param name="unit">The unit.</param>
public abstract class Workload(string name, double units, string unit) : IDisposable
{
    /// <summary>What it is, as the command line names it.</summary>
    public string Name { get; } = name;

    /// <summary>How many units one run does.</summary>
    public double Units { get; } = units;

    /// <summary>The unit: <c>flop</c>, <c>bytes</c>, <c>images</c> or <c>items</c>.</summary>
    public string Unit { get; } = unit;

    /// <summary>Floating-point operations of one run; 0 when arithmetic is not what bounds it.</summary>
    public double Flops { get; protected init; }

    /// <summary>Bytes that one run has to move at least; 0 when memory is not what bounds it.</summary>
    public double Bytes { get; protected init; }

    /// <summary>Runs between two waits for the device; more than one where waiting takes as long as the work.</summary>
    public int Repeats { get; protected init; } = 1;

    /// <summary>Does the work once.</summary>
    public abstract void Run();

    /// <summary>The time one run would take at the machine's peak; null when it is not known what bounds it.</summary>
    public double? LeastSeconds(Device device) =>
        Flops > 0 ? Flops / MachinePeak.FlopsPerSecond(device)
        : Bytes > 0 ? Bytes / MachinePeak.CopyBytesPerSecond(device)
        : null;

    /// <inheritdoc/>
    public abstract void Dispose();
}
