using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Autograd;

/// <summary>
/// Every operation adds its gradients to those of an input's other readers: applied twice to the same inputs, it gives them twice the
/// gradient, in a tensor that is watched as in a parameter.
/// </summary>
public sealed class TwoReadersTests
{
    private static readonly Dictionary<string, OpSample> _samples = OpDeclaration.All
        .Where(op => op.IsDifferentiable)
        .SelectMany(op => op.Samples.Select(sample => (Key: $"{op.Methods[0]}: {sample.Label}", Sample: sample)))
        .Where(pair => pair.Sample.Inputs.Any(input => input.DType == DType.F32))
        .ToDictionary(pair => pair.Key, pair => pair.Sample);

    public static TheoryData<string> Keys => [.. _samples.Keys];

    [Theory]
    [MemberData(nameof(Keys))]
    public void Two_uses_give_twice_the_gradient(string key)
    {
        var sample = _samples[key];
        // Plain loops take long over large samples.
        foreach (var floats in sample.GradCheck ? new[] { DType.F32, DType.F64 } : [DType.F32])
        {
            double[][] once = Gradients(sample, floats, uses: 1, parameters: false);
            AssertTwice(once, Gradients(sample, floats, uses: 2, parameters: false));
            AssertTwice(once, Gradients(sample, floats, uses: 2, parameters: true));
        }
    }

    private static double[][] Gradients(OpSample sample, DType floats, int uses, bool parameters)
    {
        using var device = new CpuDevice(1);
        using var arena = new ParameterArena(device, floats);
        using var step = Step.Recording(device);
        var inputs = OpRun.Inputs(step, sample, floats);
        var declared = new Parameter?[inputs.Length];
        for (int i = 0; i < inputs.Length && parameters; i++)
        {
            if (inputs[i].DType == floats)
                declared[i] = arena.Root.Parameter($"p{i}", inputs[i].Shape, (_, _, _) => { });
        }

        arena.Seal(0);
        for (int i = 0; i < inputs.Length; i++)
        {
            if (declared[i] is { } parameter)
            {
                Op.Copy(inputs[i], parameter.Value, accumulate: false);
                inputs[i] = step.Use(parameter);
            }
            else if (inputs[i].DType == floats)
            {
                inputs[i] = step.Watch(inputs[i]);
            }
        }

        using var store = new GradStore(arena);
        Tensor? sum = null;
        for (int use = 0; use < uses; use++)
        {
            var y = sample.Run(inputs);
            var term = Op.Sum(y * Weights(step, y.Shape, floats));
            sum = sum is null ? term : sum + term;
        }

        step.Tape.Backward(sum!, store);
        return [.. inputs.Select((x, i) =>
            x.DType != floats ? [] : declared[i] is { } p ? store.Of(p).ToDoubles() : store.Of(x)?.ToDoubles() ?? new double[x.Count])];
    }

    private static void AssertTwice(double[][] once, double[][] twice)
    {
        for (int i = 0; i < once.Length; i++)
        {
            double scale = once[i].Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
            for (int j = 0; j < once[i].Length; j++)
            {
                double expected = 2 * once[i][j];
                Assert.True(
                    expected.Equals(twice[i][j]) || Math.Abs(expected - twice[i][j]) <= 1e-5 * scale,
                    $"gradient of input {i}: element {j} is {twice[i][j]:g9}, expected {expected:g9}");
            }
        }
    }

    private static Tensor Weights(Step step, Shape shape, DType floats)
    {
        double[] values = [.. Enumerable.Range(0, (int)shape.Count).Select(i => Math.Sin(1.7 * i) + 0.3)];
        return floats == DType.F64 ? step.From(values, shape) : step.From(Array.ConvertAll(values, value => (float)value), shape);
    }
}
