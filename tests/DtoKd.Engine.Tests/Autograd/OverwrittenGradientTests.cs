using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Autograd;

/// <summary>A rule may write its result over the gradient it was given if nobody else can see that, and never otherwise.</summary>
public sealed class OverwrittenGradientTests : IDisposable
{
    private static readonly Dictionary<string, OpSample> _samples = OpDeclaration.All.Where(op => op.IsDifferentiable)
        .SelectMany(op => op.Samples.Where(sample => sample.Inputs.Any(input => input.DType == DType.F32))
            .Select(sample => (Key: $"{op.Methods[0]}: {sample.Label}", sample)))
        .ToDictionary(pair => pair.Key, pair => pair.sample);

    private readonly CpuDevice _device = new(2);

    public static TheoryData<string> Samples => [.. _samples.Keys];

    public void Dispose()
    {
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_gradient_that_a_sum_gave_to_two_is_left_alone_and_one_of_its_own_gives_the_same_bytes(string key)
    {
        var sample = _samples[key];
        using var store = new GradStore();
        using var step = Step.Recording(_device);
        var inputs = Array.ConvertAll(OpRun.Inputs(step, sample, DType.F32), x => x.DType.IsFloat() ? step.Watch(x) : x);
        var other = step.Watch(step.Zeros(sample.Run(inputs).Shape));
        var y = sample.Run(inputs);
        float[] dy = [.. Enumerable.Range(0, (int)y.Count).Select(i => MathF.Sin(1.7f * i) + 0.3f)];
        var seed = step.From(dy, y.Shape);

        // The scaling's rule makes the gradient: its next reader is alone with it but for the sum.
        var alone = Op.Affine(y, 2);
        step.Tape.Backward(alone, seed, store, retain: true);
        var expected = Array.ConvertAll(inputs, x => store.Of(x)?.ToArray<float>());
        var shared = Op.Affine(y + other, 2);
        step.Tape.Backward(shared, seed, store);
        Assert.Equal(expected, Array.ConvertAll(inputs, x => store.Of(x)?.ToArray<float>()));
        Assert.Equal(Array.ConvertAll(dy, value => 2 * value), store.Of(other)!.ToArray<float>());
        Assert.Equal(dy, seed.ToArray<float>());
    }

    [Fact]
    public void Rules_of_functions_one_after_the_other_use_the_memory_of_one_gradient()
    {
        using var store = new GradStore();
        using var step = Step.Recording(_device);
        var x = step.Watch(step.Full([4096], 0.5));
        var y = Op.Softmax(Op.Relu(Op.Gelu(Op.Affine(Op.Sigmoid(x * step.Full([4096], 2)), 3))));
        var seed = step.Full([4096], 1);
        _device.Pool.ResetPeak();
        long before = _device.Pool.LiveBytes;
        step.Tape.Backward(y, seed, store, retain: true);
        Assert.Equal(before + (4096 * sizeof(float)), _device.Pool.PeakBytes);
    }

    [Fact]
    public void What_the_caller_holds_survives_further_passes()
    {
        using var first = new GradStore();
        using var second = new GradStore();
        using var step = Step.Recording(_device);
        var x = step.Watch(step.From([0.5f, -1, 2], [3]));
        var middle = Op.Gelu(x);
        var loss = Op.Sum(Op.Square(Op.Relu(middle)));
        var atCut = step.Tape.GradientsAt(loss, [middle])[0]!;
        var cut = atCut.ToArray<float>();
        step.Tape.Backward(middle, atCut, first, retain: true);
        var kept = first.Of(x)!;
        var gradient = kept.ToArray<float>();
        step.Tape.Backward(middle, kept, second, retain: true);
        step.Tape.Backward(loss, second);
        Assert.Equal(cut, atCut.ToArray<float>());
        Assert.Equal(gradient, kept.ToArray<float>());
        Assert.Equal(gradient, second.Of(x)!.ToArray<float>());
    }

    [Fact]
    public void Parts_of_one_gradient_are_overwritten_by_the_last_to_read_it_only()
    {
        using var store = new GradStore();
        using var step = Step.Recording(_device);
        var a = step.Watch(step.From([1f, -2], [2]));
        var b = step.Watch(step.From([3f, 4], [2]));
        // Both inputs of the concatenation get views of one gradient, of which a third reader gets all.
        var joined = Op.Concat([Op.Relu(a), Op.Affine(b, -1)], 0);
        var y = Op.Affine(joined + step.Watch(step.Zeros([4])) + Op.Expand(Op.Reshape(Op.Sum(b), [1]), [4]), 2);
        step.Tape.Backward(y, step.From([1f, 10, 100, 1000], [4]), store);
        Assert.Equal([2f, 0], store.Of(a)!.ToArray<float>());
        Assert.Equal([-200f + 2222, -2000 + 2222], store.Of(b)!.ToArray<float>());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void What_a_node_saved_is_written_over_by_the_last_pass_only(bool residual, bool relu)
    {
        int[] sizes = [2, 3, 40, 40];
        using var step = Step.Recording(_device);
        var x = step.Watch(Numbers(step, sizes, 0.7f));
        var shortcut = residual ? step.Watch(Numbers(step, sizes, 0.3f)) : null;
        Tensor y;
        using (var scope = step.Scope())
            y = scope.Return(Op.BatchNorm(Op.Affine(x, 2), null, null, null, null, true, residual: shortcut, relu: relu));
        var seed = Numbers(step, sizes, 1.9f);

        var gradients = new List<float[]>();
        var fresh = new List<long>();
        foreach (bool retain in new[] { true, true, false })
        {
            using var store = new GradStore();
            _device.Pool.ResetPeak();
            long before = _device.Pool.LiveBytes;
            step.Tape.Backward(y, seed, store, retain);
            gradients.Add(store.Of(x)!.ToArray<float>());
            fresh.Add(_device.Pool.PeakBytes - before);
        }

        Assert.Equal(gradients[0], gradients[1]);
        Assert.Equal(gradients[0], gradients[2]);
        Assert.InRange(fresh[2], 0, fresh[0] - (x.Count * sizeof(float)));
    }

    private static Tensor Numbers(Step step, int[] sizes, float frequency)
    {
        var shape = new Shape(sizes);
        return step.From([.. Enumerable.Range(0, (int)shape.Count).Select(i => MathF.Sin(frequency * i) + 0.1f)], shape);
    }
}
