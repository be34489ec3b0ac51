using System.Reflection;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>The tests that every operation's declaration generates.</summary>
public class OpDeclarationTests
{
    private static readonly Dictionary<string, OpSample> _samples = OpDeclaration.All
        .SelectMany(op => op.Samples.Select(sample => (Key: $"{op.Methods[0]}: {sample.Label}", sample)))
        .ToDictionary(pair => pair.Key, pair => pair.sample);

    private static readonly Dictionary<string, OpError> _errors = OpDeclaration.All
        .SelectMany(op => op.Errors.Select(error => (Key: $"{op.Methods[0]}: {error.Label}", error)))
        .ToDictionary(pair => pair.Key, pair => pair.error);

    private static readonly HashSet<string> _differentiable = OpDeclaration.All.Where(op => op.IsDifferentiable)
        .SelectMany(op => op.Samples.Where(HasFloats).Select(sample => $"{op.Methods[0]}: {sample.Label}"))
        .ToHashSet();

    private static readonly string[] _products =
        [nameof(Op.MatMul), nameof(Op.Linear), nameof(Op.Mlp), nameof(Op.Conv2d), nameof(Op.Conv2dNorm), nameof(Op.Conv2dBatchNorm)];

    public static TheoryData<string> Samples => [.. _samples.Keys];

    public static TheoryData<string> SamplesWithoutProducts =>
        [.. _samples.Keys.Where(key => !_products.Contains(key[..key.IndexOf(':')]))];

    public static TheoryData<string> GradCheckedSamples => [.. _differentiable.Where(key => _samples[key].GradCheck)];

    public static TheoryData<string> Errors => [.. _errors.Keys];

    [Fact]
    public void Every_public_operation_is_declared()
    {
        var declared = OpDeclaration.All.SelectMany(op => op.Methods).ToHashSet();
        var methods = typeof(Op).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(method => method.Name).ToHashSet();
        Assert.Empty(methods.Except(declared));
        Assert.Empty(declared.Except(methods));
    }

    [Theory]
    [MemberData(nameof(Samples))]
    public void Single_precision_equals_the_reference_on_every_vector_width(string key)
    {
        var sample = _samples[key];
        bool gradients = _differentiable.Contains(key);
        var reference = OpRun.Of(sample, DType.F64, gradients);
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            var run = OpRun.Of(sample, DType.F32, gradients, simd: simd);
            Assert.Equal(reference.Shape, run.Shape);
            AssertClose(reference.Result, run.Result, sample.Tolerance, $"{key} on {simd}: result");
            for (int i = 0; i < run.Gradients.Length; i++)
            {
                if (run.Gradients[i] is { } gradient)
                    AssertClose(reference.Gradients[i]!, gradient, sample.Tolerance, $"{key} on {simd}: gradient of input {i}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(SamplesWithoutProducts))]
    public void What_is_not_a_product_is_the_same_on_zen4_as_on_avx512(string key)
    {
        var sample = _samples[key];
        bool gradients = _differentiable.Contains(key);
        OpRun plain = OpRun.Of(sample, DType.F32, gradients, simd: SimdLevel.Avx512);
        OpRun zen4 = OpRun.Of(sample, DType.F32, gradients, simd: SimdLevel.Zen4);
        Assert.Equal(plain.Result, zen4.Result);
        Assert.Equal(plain.Gradients, zen4.Gradients);
    }

    [Theory]
    [MemberData(nameof(GradCheckedSamples))]
    public void The_gradient_equals_difference_quotients(string key)
    {
        var sample = _samples[key];
        using var device = new CpuDevice(1);
        Assert.Null(GradCheck.Run(device, sample.Run, step => OpRun.Inputs(step, sample, DType.F64)));
    }

    [Theory]
    [MemberData(nameof(Samples))]
    public void Any_number_of_threads_gives_the_same_bytes_and_strided_inputs_the_same_values(string key)
    {
        var sample = _samples[key];
        bool gradients = _differentiable.Contains(key);
        var one = OpRun.Of(sample, DType.F32, gradients, threads: 1);
        foreach (int threads in new[] { 2, 7 })
        {
            var run = OpRun.Of(sample, DType.F32, gradients, threads);
            Assert.Equal(one.Result, run.Result);
            Assert.Equal(one.Gradients, run.Gradients);
        }

        var strided = OpRun.Of(sample, DType.F32, gradients, layout: OpRun.Layout.Strided);
        AssertClose(one.Result, strided.Result, sample.Tolerance, $"{key} on strided inputs: result");
        for (int i = 0; i < one.Gradients.Length; i++)
        {
            if (one.Gradients[i] is { } gradient)
                AssertClose(gradient, strided.Gradients[i]!, sample.Tolerance, $"{key} on strided inputs: gradient of input {i}");
        }
    }

    [Theory]
    [MemberData(nameof(Samples))]
    public void Nothing_stays_in_the_pool(string key)
    {
        Assert.Equal(0, OpRun.Of(_samples[key], DType.F32, _differentiable.Contains(key)).LeftBytes);
        Assert.Equal(0, OpRun.Of(_samples[key], DType.F32, gradients: false).LeftBytes);
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void Wrong_input_is_refused_with_a_clear_line(string key)
    {
        var error = _errors[key];
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var inputs = OpRun.Inputs(step, new OpSample(error.Label, error.Inputs, error.Run), DType.F32);
        var exception = Assert.ThrowsAny<ArgumentException>(() => error.Run(inputs));
        Assert.Contains(error.Message, exception.Message);
    }

    [Fact]
    public void An_operation_without_derivative_refuses_tensors_that_a_gradient_flows_through()
    {
        foreach (var op in OpDeclaration.All.Where(op => !op.IsDifferentiable))
        {
            foreach (var sample in op.Samples.Where(sample => sample.Inputs.Any(input => input.DType == DType.F32)))
            {
                using var device = new CpuDevice(1);
                using var step = Step.Recording(device);
                var inputs = Array.ConvertAll(OpRun.Inputs(step, sample, DType.F32), x => x.DType.IsFloat() ? step.Watch(x) : x);
                var exception = Assert.ThrowsAny<InvalidOperationException>(() => sample.Run(inputs));
                Assert.Contains("no derivative", exception.Message);
            }
        }
    }

    // Masks and indices have no gradients.
    private static bool HasFloats(OpSample sample) => sample.Inputs.Any(input => input.DType == DType.F32);

    private static void AssertClose(double[] expected, double[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double scale = expected.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
        for (int i = 0; i < expected.Length; i++)
        {
            bool same = expected[i].Equals(actual[i]) || Math.Abs(expected[i] - actual[i]) <= (tolerance * scale) + 1e-7;
            Assert.True(same, $"{what}: element {i} is {actual[i]:g9}, the reference has {expected[i]:g9}");
        }
    }
}
