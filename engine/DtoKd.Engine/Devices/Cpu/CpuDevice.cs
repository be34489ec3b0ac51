namespace DtoKd.Engine.Cpu;

/// <summary>The processor: a team of threads and a vector width.</summary>
public sealed class CpuDevice : Device
{
    /// <summary>Makes a device of its own threads and pool.</summary>
    /// <param name="threads">Threads that compute, the caller included; all processors when null.</param>
    /// <param name="simd">The vector width; <see cref="Cpu.Simd.Default"/> when null.</param>
    public CpuDevice(int? threads = null, SimdLevel? simd = null)
        : this(new Pool(), threads, simd)
    {
    }

    /// <summary>Makes a device that computes nothing (<see cref="Device.Computes"/>). Memory is reserved, but not touched.</summary>
    public static CpuDevice Planning() => new(threads: 1) { Computes = false };

    internal CpuDevice(Pool pool, int? threads = null, SimdLevel? simd = null)
        : base(pool)
    {
        Team = new ThreadTeam(threads ?? Environment.ProcessorCount);
        Simd = simd ?? Cpu.Simd.Default;
    }

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>The threads that share out every kernel's blocks.</summary>
    public ThreadTeam Team { get; }

    /// <summary>The vector width of every kernel.</summary>
    public SimdLevel Simd { get; }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Team.Dispose();
        base.Dispose();
    }
}
