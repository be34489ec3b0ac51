using System.Runtime.InteropServices;

namespace DtoKd.Engine.Cpu;

/// <summary>The processor: a team of threads and a vector width.</summary>
public sealed unsafe class CpuDevice : Device
{
    /// <summary>Makes a device of its own threads and pool.</summary>
    /// <param name="threads">Threads that compute, the caller included; all processors when null.</param>
    /// <param name="simd">What to compute with; <see cref="Cpu.Simd.Default"/> when null.</param>
    public CpuDevice(int? threads = null, SimdLevel? simd = null)
        : this(new Pool(), threads, simd)
    {
    }

    /// <summary>Makes a device that computes nothing (<see cref="Device.Computes"/>). Memory is reserved, but not touched.</summary>
    public static CpuDevice Planning() => new(threads: 1) { Computes = false };

    internal CpuDevice(Pool pool, int? threads = null, SimdLevel? simd = null)
        : base(pool, isHost: true)
    {
        Team = new ThreadTeam(threads ?? Environment.ProcessorCount);
        Simd = simd ?? Cpu.Simd.Default;
    }

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>The threads that share out every kernel's blocks.</summary>
    public ThreadTeam Team { get; }

    /// <summary>What the device computes with.</summary>
    public SimdLevel Simd { get; }

    /// <summary>
    /// The vectors of every kernel. Only products ask for <see cref="Simd"/> itself: to all others two levels may be the same.
    /// </summary>
    internal LaneKind Vectors => Simd switch
    {
        SimdLevel.Zen4 or SimdLevel.Zen5 or SimdLevel.Avx512 => LaneKind.Lane512,
        SimdLevel.Avx2 => LaneKind.Lane256,
        _ => LaneKind.LaneVector,
    };

    internal override DeviceInput NewInput(long bytes) => new HostInput(this, bytes);

    internal override void Read(Storage source, long offset, Span<byte> target) =>
        new ReadOnlySpan<byte>((byte*)source.Address + offset, target.Length).CopyTo(target);

    internal override void Write(ReadOnlySpan<byte> source, Storage target, long offset) =>
        source.CopyTo(new Span<byte>((byte*)target.Address + offset, source.Length));

    internal override void Clear(Storage target, long offset, long bytes) =>
        NativeMemory.Clear((byte*)target.Address + offset, (nuint)bytes);

    internal override void Fill(Tensor target, double value)
    {
        switch (target.DType)
        {
            case DType.F32:
                target.Span<float>().Fill((float)value);
                break;
            case DType.F64:
                target.Span<double>().Fill(value);
                break;
            case DType.I32:
                target.Span<int>().Fill((int)value);
                break;
            case DType.I64:
                target.Span<long>().Fill((long)value);
                break;
            default:
                target.Span<bool>().Fill(value != 0);
                break;
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Team.Dispose();
        base.Dispose();
    }
}
