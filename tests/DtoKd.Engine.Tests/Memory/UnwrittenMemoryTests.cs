using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Memory;

/// <summary>
/// Results depend only on what was written, and an operation's result that it has not written yet is no anomaly, whatever is there.
/// </summary>
public class UnwrittenMemoryTests
{
    // As floats, these bytes are NaN.
    private const byte NaNs = 0xFF;

    public static TheoryData<string> Keys =>
        [.. OpDeclaration.All.SelectMany(op => op.Samples.Select(sample => Key(op, sample)))];

    [Theory]
    [MemberData(nameof(Keys))]
    public void What_was_in_memory_before_does_not_show(string key)
    {
        var (op, sample) = OpDeclaration.All.SelectMany(op => op.Samples.Select(sample => (op, sample)))
            .Single(pair => Key(pair.op, pair.sample) == key);
        foreach (var floats in new[] { DType.F32, DType.F64 })
            Assert.Equal(Outcome(op, sample, floats, fill: 0), Outcome(op, sample, floats, NaNs));
    }

    private static string Key(OpDeclaration op, OpSample sample) => $"{op.Methods[0]}: {sample.Label}";

    /// <summary>The result and the gradients, or the anomaly that a sample gives.</summary>
    private static string Outcome(OpDeclaration op, OpSample sample, DType floats, byte fill)
    {
        using var device = new CpuDevice(new FilledPool(fill), 1);
        using var step = Step.Training(device, detectAnomalies: true);
        var inputs = OpRun.Inputs(step, sample, floats);
        if (op.IsDifferentiable)
            inputs = Array.ConvertAll(inputs, x => x.DType.IsFloat() ? step.Watch(x) : x);
        try
        {
            var y = sample.Run(inputs);
            if (!y.DType.IsFloat())
                return $"{y.Shape} of {y.DType}";
            using var store = new GradStore();
            if (op.IsDifferentiable && inputs.Any(x => x.DType.IsFloat()))
                step.Tape.Backward(Op.Affine(y, 1), step.Full(y.Shape, 0.7, y.DType), store);
            double[][] values = [y.ToDoubles(), .. inputs.Select(x => store.Of(x)?.ToDoubles() ?? [])];
            return string.Join("\n", values.Select(part => string.Join(" ", part.Select(value => BitConverter.DoubleToInt64Bits(value)))));
        }
        catch (AnomalyException anomaly)
        {
            return anomaly.Message;
        }
    }
}
