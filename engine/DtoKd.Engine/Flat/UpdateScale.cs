namespace DtoKd.Engine;

/// <summary>
/// What the gradient is multiplied with before an update: what clipping by the global norm (Pascanu et al. 2013) leaves of it. It
/// stays on the device. Once a reading was not finite it is negative, for good, and updates change nothing any more.
/// </summary>
public sealed class UpdateScale : IDisposable
{
    // Keeps a gradient of zeros from a division by zero.
    private const double Least = 1e-6;

    private readonly Gpu.GpuScale? _remote;

    /// <summary>Makes a scale of 1.</summary>
    /// <param name="device">Where updates are computed.</param>
    public UpdateScale(Device device) => _remote = device is Gpu.GpuDevice gpu ? new Gpu.GpuScale(gpu) : null;

    /// <summary>The scale where the host computes it; 1 where the device does.</summary>
    internal double Value { get; private set; } = 1;

    internal Gpu.GpuScale? Remote => _remote;

    /// <summary>What is left of a gradient whose norm may be <paramref name="maximum"/> at most.</summary>
    /// <param name="squaredNorm">The square of its norm.</param>
    /// <param name="maximum">The largest norm.</param>
    public static double Of(double squaredNorm, double maximum) => Math.Min(1, maximum / (Math.Sqrt(squaredNorm) + Least));

    /// <summary>Sets the scale for the next update.</summary>
    /// <param name="readings">What has to be finite.</param>
    /// <param name="squaredNorm">The place in it of the square of the gradient's norm.</param>
    /// <param name="maximum">The largest norm; null for no clipping.</param>
    public void Set(Readings readings, int squaredNorm, double? maximum)
    {
        if (_remote is not null)
        {
            _remote.Set(readings.Remote!, readings.Count, squaredNorm, maximum, Least);
            return;
        }

        bool finite = true;
        foreach (double value in readings.Values)
            finite &= double.IsFinite(value);
        if (Value >= 0)
            Value = !finite ? -1 : maximum is { } limit ? Of(readings.Values[squaredNorm], limit) : 1;
    }

    /// <summary>Gives the number's memory back.</summary>
    public void Dispose() => _remote?.Dispose();
}

/// <summary>A factor of the gradient: a number, or one that the device holds.</summary>
public readonly struct GradScale
{
    private GradScale(double value, UpdateScale? source) => (Value, Source) = (value, source);

    /// <summary>The number, where the host knows it.</summary>
    internal double Value { get; }

    internal UpdateScale? Source { get; }

    /// <summary>Whether the update is to be left out, as far as the host knows.</summary>
    public bool IsVoid => Value < 0;

    /// <summary>A known number.</summary>
    public static implicit operator GradScale(double value) => new(value, null);

    /// <summary>What clipping leaves.</summary>
    public static implicit operator GradScale(UpdateScale scale) => new(scale.Value, scale);
}
