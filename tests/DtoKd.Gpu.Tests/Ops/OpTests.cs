using DtoKd.Engine;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>The samples that every operation declares, on the tests' device against the double reference.</summary>
public class OpTests
{
    private static readonly Dictionary<string, (OpDeclaration Op, OpSample Sample)> _samples = OpDeclaration.All
        .SelectMany(op => op.Samples.Select(sample => (op, sample)))
        .ToDictionary(pair => $"{pair.op.Methods[0]}: {pair.sample.Label}");

    private static readonly Dictionary<string, OpError> _errors = OpDeclaration.All
        .SelectMany(op => op.Errors.Select(error => (Key: $"{op.Methods[0]}: {error.Label}", error)))
        .ToDictionary(pair => pair.Key, pair => pair.error);

    public static TheoryData<string> Samples => [.. _samples.Keys];

    public static TheoryData<string> Errors => [.. _errors.Keys];

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_sample_equals_the_reference(string key)
    {
        var (op, sample) = _samples[key];
        var outcome = OpChecks.Compare(op, sample, TestDevice.Gpu, OpRun.Layout.Contiguous);
        Assert.True(outcome.Passes, outcome.Where);
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void Wrong_input_is_refused_as_on_the_CPU_when_the_host_waits_at_the_latest(string key)
    {
        var error = _errors[key];
        using var step = Step.Evaluation(TestDevice.Gpu);
        var inputs = OpRun.Inputs(step, new OpSample(error.Label, error.Inputs, error.Run), DType.F32);
        var exception = Assert.ThrowsAny<ArgumentException>(() =>
        {
            error.Run(inputs);
            TestDevice.Gpu.Synchronize();
        });
        Assert.Contains(error.Message, exception.Message, StringComparison.Ordinal);
    }
}
