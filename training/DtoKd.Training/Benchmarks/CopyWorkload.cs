using DtoKd.Engine;

namespace DtoKd.Training.Benchmarks;

/// <summary>Copying one large block of the device's memory to another, as <see cref="MachinePeak"/> measures it.</summary>
public sealed class CopyWorkload : Workload
{
    private const int FloatsOfAMebibyte = (1 << 20) / sizeof(float);

    private readonly Device _device;
    private readonly Step _blocks;
    private readonly Tensor _from;
    private readonly Tensor _to;

    /// <summary>Prepares two blocks.</summary>
    /// <param name="device">Whose memory.</param>
    /// <param name="mebibytes">The size of each.</param>
    /// <exception cref="ArgumentException">A tensor cannot be that large.</exception>
    public CopyWorkload(Device device, int mebibytes)
        : base($"copy {mebibytes} MiB", 2.0 * mebibytes * (1 << 20), "bytes")
    {
        if (mebibytes > int.MaxValue / FloatsOfAMebibyte)
            throw new ArgumentException($"a block of {mebibytes} MiB does not fit into one tensor; at most {int.MaxValue / FloatsOfAMebibyte} MiB do");
        _device = device;
        _blocks = Step.Evaluation(device);
        int floats = mebibytes * FloatsOfAMebibyte;
        _from = _blocks.Full([floats], 1);
        _to = _blocks.Full([floats], 0);
        Bytes = Units;
    }

    /// <inheritdoc/>
    public override void Run() => MachinePeak.Copy(_device, _from, _to);

    /// <inheritdoc/>
    public override void Dispose() => _blocks.Dispose();
}
