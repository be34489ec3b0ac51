using DtoKd.Engine;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>The samples that every operation declares, on the emulated device against the double reference.</summary>
public class OpTests
{
    /// <summary>Operations, or derivatives of them, that have no GPU kernels yet. What is listed must still refuse.</summary>
    private static readonly HashSet<string> _withoutKernels =
    [
        "Cholesky",
        "Determinant",
        "Inverse",
        "MatrixExp",
        "OrthogonalCayley",
        "OrthogonalExp",
        "Solve",
    ];

    private static readonly Dictionary<string, (OpDeclaration Op, OpSample Sample)> _samples = OpDeclaration.All
        .SelectMany(op => op.Samples.Select(sample => (op, sample)))
        .ToDictionary(pair => $"{pair.op.Methods[0]}: {pair.sample.Label}");

    private static readonly Dictionary<string, (OpDeclaration Op, OpError Error)> _errors = OpDeclaration.All
        .SelectMany(op => op.Errors.Select(error => (op, error)))
        .ToDictionary(pair => $"{pair.op.Methods[0]}: {pair.error.Label}");

    public static TheoryData<string> Samples => [.. _samples.Keys];

    public static TheoryData<string> Errors => [.. _errors.Keys];

    public static TheoryData<string> Unsupported => [.. _withoutKernels];

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_sample_equals_the_reference_or_its_operation_is_listed(string key)
    {
        var (op, sample) = _samples[key];
        DeviceCheckOutcome outcome = default;
        bool runs = Emulator.Runs(() => outcome = OpChecks.Compare(op, sample, Emulator.Device, OpRun.Layout.Contiguous));
        if (!runs && _withoutKernels.Contains(op.Methods[0]))
            return;
        Assert.True(runs, $"{op.Methods[0]} has no kernel: write one, or list it");
        Assert.True(outcome.Passes, outcome.Where);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Unsupported))]
    public void What_is_listed_as_without_kernels_is_without(string method)
    {
        var op = Assert.Single(OpDeclaration.All, op => op.Methods[0] == method);
        bool gradients = op.IsDifferentiable;
        Assert.Contains(op.Samples, sample =>
            !Emulator.Runs(() => OpRun.On(Emulator.Device, sample, DType.F32, gradients && sample.Inputs.Any(input => input.DType == DType.F32))));
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void Wrong_input_is_refused_as_on_the_CPU_when_the_host_waits_at_the_latest(string key)
    {
        var (op, error) = _errors[key];
        using var step = Step.Evaluation(Emulator.Device);
        var inputs = OpRun.Inputs(step, new OpSample(error.Label, error.Inputs, error.Run), DType.F32);
        string message = "nothing";
        bool runs = Emulator.Runs(() =>
        {
            try
            {
                error.Run(inputs);
                Emulator.Device.Synchronize();
            }
            catch (ArgumentException exception)
            {
                message = exception.Message;
            }
        });
        if (!runs && _withoutKernels.Contains(op.Methods[0]))
            return;
        Assert.Contains(error.Message, message, StringComparison.Ordinal);
    }
}
