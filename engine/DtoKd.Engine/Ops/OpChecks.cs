namespace DtoKd.Engine;

/// <summary>Every operation's declared samples on a device, in single precision, against the reference in double precision.</summary>
public static class OpChecks
{
    // TF32 has 10 bits of mantissa, bf16 has 7: what a product of a few hundred terms may lose by it.
    private const double HighTolerance = 2e-3, MediumTolerance = 2e-2;

    /// <summary>All samples, each with its inputs contiguous and, where <paramref name="strided"/>, once more with gaps.</summary>
    /// <param name="strided">Whether to read inputs that are not contiguous too.</param>
    public static IEnumerable<DeviceCheck> All(bool strided = true)
    {
        foreach (var op in OpDeclaration.All)
        {
            foreach (var sample in op.Samples)
            {
                yield return Check(op, sample, OpRun.Layout.Contiguous, "");
                if (strided)
                    yield return Check(op, sample, OpRun.Layout.Strided, ", strided");
            }
        }
    }

    /// <summary>Compares a sample's result, and the gradients of an operation that has them.</summary>
    internal static DeviceCheckOutcome Compare(OpDeclaration op, OpSample sample, Device device, OpRun.Layout layout)
    {
        bool gradients = op.IsDifferentiable && sample.Inputs.Any(input => input.DType == DType.F32);
        double allowed = device is Gpu.GpuDevice gpu ? Allowed(sample, gpu.MatmulPrecision) : sample.Tolerance;
        long before = device.Pool.LiveBytes;
        var run = OpRun.On(device, sample, DType.F32, gradients, layout);
        var reference = OpRun.Of(sample, DType.F64, gradients, layout: layout);
        if (run.Shape != reference.Shape)
            return new(double.PositiveInfinity, allowed, $"result: {run.Shape} instead of {reference.Shape}");
        if (run.LeftBytes != before)
            return new(double.PositiveInfinity, allowed, $"{run.LeftBytes - before} bytes were left in the pool");
        var worst = DeviceCheckOutcome.Compare(reference.Result, run.Result, allowed, "result");
        for (int i = 0; i < run.Gradients.Length; i++)
        {
            if (run.Gradients[i] is { } gradient)
                worst = DeviceCheckOutcome.Worse(
                    worst, DeviceCheckOutcome.Compare(reference.Gradients[i]!, gradient, allowed, $"gradient of input {i}"));
        }

        return worst;
    }

    private static DeviceCheck Check(OpDeclaration op, OpSample sample, OpRun.Layout layout, string suffix) =>
        new(op.Methods[0], sample.Label + suffix, device => Compare(op, sample, device, layout));

    private static double Allowed(OpSample sample, Gpu.MatmulPrecision precision) => precision switch
    {
        Gpu.MatmulPrecision.High => Math.Max(sample.Tolerance, HighTolerance),
        Gpu.MatmulPrecision.Medium => Math.Max(sample.Tolerance, MediumTolerance),
        _ => sample.Tolerance,
    };
}
