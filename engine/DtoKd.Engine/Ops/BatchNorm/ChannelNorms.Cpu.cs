using System.Runtime.Intrinsics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>A batch norm of known statistics, as a kernel applies it to the values of one channel after another.</summary>
internal sealed unsafe class ChannelNorms : IDisposable
{
    private readonly Storage _room;
    private readonly float* _mean;
    private readonly float* _scale;
    private readonly float* _shift;
    private readonly float _floor;

    /// <summary>Makes the numbers of all channels, in memory of the device's pool.</summary>
    public ChannelNorms(BatchNormInputs norm)
    {
        long channels = norm.Extent.Channels, c = 0;
        _room = ((CpuDevice)norm.X.Device).Pool.Rent(channels * sizeof(float), "batch_norm");
        _mean = norm.Mean.Pointer<float>();
        _scale = (float*)_room.Address;
        _shift = norm.Bias is null ? null : norm.Bias.Pointer<float>();
        _floor = ChannelNorm.FloorOf(norm.Relu);
        // Eight at a time, to the same numbers: one thread makes them while the others wait.
        for (; norm.Weight is not null && c + Vector256<float>.Count <= channels; c += Vector256<float>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(norm.Variance.Pointer<float>() + c));
            var (lowWeight, highWeight) = Vector256.Widen(Vector256.Load(norm.Weight.Pointer<float>() + c));
            low = Vector256.Create(1.0) / Vector256.Sqrt(low + Vector256.Create(norm.Eps)) * lowWeight;
            high = Vector256.Create(1.0) / Vector256.Sqrt(high + Vector256.Create(norm.Eps)) * highWeight;
            Vector256.Narrow(low, high).Store(_scale + c);
        }

        for (; c < channels; c++)
            _scale[c] = (float)norm.ScaleOf(c);
    }

    /// <summary>What happens to the values of a channel.</summary>
    public ChannelNorm this[long channel] => new(_mean[channel], _scale[channel], _shift == null ? 0 : _shift[channel], _floor);

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => _room.Release();
}

/// <summary>What a batch norm, and a ReLU, do to the values of a channel: max((x - Mean) Scale + Shift, Floor).</summary>
internal readonly record struct ChannelNorm(float Mean, float Scale, float Shift, float Floor)
{
    /// <summary>The lowest value behind a ReLU, or without one.</summary>
    public static float FloorOf(bool relu) => relu ? 0 : float.NegativeInfinity;
}
