namespace DtoKd.Engine;

/// <summary>Something a device has to compute as another one does; <c>dtokd selftest</c> runs them.</summary>
/// <param name="Subject">What is checked: an operation or a network.</param>
/// <param name="Name">Which of its checks it is.</param>
/// <param name="Run">Computes it on a device and compares.</param>
public sealed record DeviceCheck(string Subject, string Name, Func<Device, DeviceCheckOutcome> Run);

/// <summary>How far a device was from the reference.</summary>
/// <param name="Error">The largest difference, relative to the largest magnitude of what was compared.</param>
/// <param name="Allowed">The largest difference that passes.</param>
/// <param name="Where">Where the largest difference was found.</param>
public readonly record struct DeviceCheckOutcome(double Error, double Allowed, string Where)
{
    // What is zero in the reference may differ by this much.
    private const double Zero = 1e-7;

    /// <summary>Whether the difference is small enough.</summary>
    public bool Passes => Error <= Allowed;

    /// <summary>Compares values; what is not finite must be the same.</summary>
    public static DeviceCheckOutcome Compare(ReadOnlySpan<double> expected, ReadOnlySpan<double> actual, double allowed, string what)
    {
        if (expected.Length != actual.Length)
            return new(double.PositiveInfinity, allowed, $"{what}: {actual.Length} values instead of {expected.Length}");
        double scale = Zero / allowed;
        foreach (double value in expected)
            scale = double.IsFinite(value) ? Math.Max(scale, Math.Abs(value) + (Zero / allowed)) : scale;
        var worst = new DeviceCheckOutcome(0, allowed, what);
        for (int i = 0; i < expected.Length; i++)
        {
            if (expected[i].Equals(actual[i]))
                continue;
            double error = Math.Abs(expected[i] - actual[i]) / scale;
            if (!(error <= worst.Error))
                worst = worst with
                {
                    Error = double.IsNaN(error) ? double.PositiveInfinity : error,
                    Where = FormattableString.Invariant($"{what}: element {i} is {actual[i]:g9}, the reference has {expected[i]:g9}"),
                };
        }

        return worst;
    }

    /// <summary>The outcome that is nearer to failing.</summary>
    public static DeviceCheckOutcome Worse(DeviceCheckOutcome one, DeviceCheckOutcome other) =>
        other.Error / other.Allowed > one.Error / one.Allowed ? other : one;
}
