using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops.Pointwise;

/// <summary>What the functions give at the ends of their range, against hand-made values.</summary>
public sealed class FunctionTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    [Fact]
    public void Sigmoid_keeps_the_digits_of_small_results() => AssertNear(
        [3.783506e-44, 6.054602e-39, 9.357623e-14, 0.5, 1, 1], Value(x => Op.Sigmoid(x), -100, -88, -30, 0, 30, 100));

    [Fact]
    public void Softplus_and_log_sigmoid_are_finite_in_the_tails()
    {
        AssertNear([0, 9.357623e-14, 0.69314718, 30, 100, 1e30], Value(x => Op.Softplus(x), -1e30f, -30, 0, 30, 100, 1e30f));
        AssertNear([-1e30, -30, -0.69314718, -9.357623e-14, 0], Value(x => Op.LogSigmoid(x), -1e30f, -30, 0, 30, 1e30f));
    }

    [Fact]
    public void The_gradients_of_the_tails_are_finite()
    {
        float[] x = [-1e4f, -100, -20, 0, 20, 100, 1e4f];
        var functions = new Func<Tensor, Tensor>[]
        {
            Op.Sigmoid, Op.Softplus, Op.LogSigmoid, Op.Silu, Op.Tanh, Op.Erf,
            v => Op.Gelu(v), v => Op.Gelu(v, GeluForm.Tanh), v => Op.Elu(v),
        };
        foreach (var function in functions)
            Assert.All(Gradient(function, x), slope => Assert.True(double.IsFinite(slope)));
    }

    [Fact]
    public void Gelu_and_silu_return_to_zero_on_the_left_and_to_x_on_the_right()
    {
        AssertNear([0, -3.720e-42, 100], Value(x => Op.Silu(x), -1e4f, -100, 100), 1e-3);
        AssertNear([0, -2.13178e-32, 12], Value(x => Op.Gelu(x), -60, -12, 12), 1e-5);
        AssertNear([0, 0, 12], Value(x => Op.Gelu(x, GeluForm.Tanh), -60, -12, 12));
    }

    [Fact]
    public void Derivatives_at_kinks_are_those_that_torch_takes()
    {
        Assert.Equal([0, 0, 1], Gradient(Op.Relu, -1, 0, 1));
        Assert.Equal([-1, 0, 1], Gradient(Op.Abs, -1, 0, 1));
        Assert.Equal([0, 1, 1, 1, 0], Gradient(x => Op.Clamp(x, -1, 1), -1.5f, -1, 0, 1, 1.5f));
    }

    [Fact]
    public void Equal_elements_share_the_gradient_of_maximum_and_minimum()
    {
        foreach (var op in new Func<Tensor, Tensor, Tensor>[] { Op.Maximum, Op.Minimum })
        {
            using var step = Step.Recording(_device);
            var a = step.Watch(step.From([1f, 2f], [2]));
            var b = step.Watch(step.From([1f, 2f], [2]));
            using var store = new GradStore();
            step.Tape.Backward(op(a, b), step.From([3f, 5f], [2]), store);
            Assert.Equal([1.5, 2.5], store.Of(a)!.ToDoubles());
            Assert.Equal([1.5, 2.5], store.Of(b)!.ToDoubles());
        }
    }

    [Fact]
    public void Powers_follow_the_sign_of_the_base_and_the_parity_of_the_exponent()
    {
        Assert.Equal([-8, 0, 8], Value(x => Op.PowScalar(x, 3), -2, 0, 2));
        Assert.Equal([1, 1, 1], Value(x => Op.PowScalar(x, 0), -2, 0, 2));
        Assert.Equal([-0.125, 0.125], Value(x => Op.PowScalar(x, -3), -2, 2));
        Assert.Equal([double.NaN, 2], Value(x => Op.PowScalar(x, 0.5), -2, 4));
        Assert.Equal([double.NaN], Value(x => Op.PowScalar(x, 1.3), -2));
        AssertNear([131072, -131072], Value(x => Op.PowScalar(x, 17), 2, -2), 1e-5);
        Assert.Equal([0, 0], Gradient(x => Op.PowScalar(x, 0), 0, 2));
        AssertNear([-8, 4, double.NaN, 1, 0, double.PositiveInfinity], Value(
            x => Op.Pow(x, x.Step!.From([3f, 2f, 0.5f, 0f, 2f, -1f], [6])), -2, -2, -2, 0, 0, 0));
    }

    [Fact]
    public void The_gradient_of_a_power_in_its_exponent_is_0_at_base_0()
    {
        using var step = Step.Recording(_device);
        var b = step.Watch(step.From([2f, 0f], [2]));
        using var store = new GradStore();
        step.Tape.Backward(Op.Pow(step.From([0f, 0f], [2]), b), step.From([1f, 1f], [2]), store);
        Assert.Equal([0, 0], store.Of(b)!.ToDoubles());
    }

    [Fact]
    public void NaN_passes_through_every_kink()
    {
        var functions = new Func<Tensor, Tensor>[]
        {
            Op.Relu, Op.Abs, Op.HardSwish, Op.Sigmoid, Op.Softplus, x => Op.Clamp(x, 0, 1), x => Op.Elu(x),
        };
        foreach (var function in functions)
            Assert.True(double.IsNaN(Value(function, float.NaN)[0]));
    }

    [Fact]
    public void Comparisons_treat_NaN_and_signed_zero_by_the_floating_point_rules()
    {
        using var step = Step.Evaluation(_device);
        var a = step.From([float.NaN, 0f, 1f], [3]);
        var b = step.From([float.NaN, -0f, 2f], [3]);
        Assert.Equal([false, true, false], Op.Eq(a, b).ToArray<bool>());
        Assert.Equal([true, false, true], Op.Ne(a, b).ToArray<bool>());
        Assert.Equal([false, false, true], Op.Lt(a, b).ToArray<bool>());
        Assert.Equal([false, true, true], Op.Le(a, b).ToArray<bool>());
        Assert.Equal([false, false, false], Op.Gt(a, b).ToArray<bool>());
        Assert.Equal([false, true, false], Op.Ge(a, b).ToArray<bool>());
    }

    [Fact]
    public void A_masked_infinity_leaves_no_trace_in_the_gradient()
    {
        using var step = Step.Recording(_device);
        var x = step.Watch(step.From([float.PositiveInfinity, 2f], [2]));
        using var store = new GradStore();
        var mask = step.From([true, false], [2]);
        var y = Op.MaskedFill(x, mask, -1);
        step.Tape.Backward(y, step.From([3f, 5f], [2]), store);
        Assert.Equal([-1, 2], y.ToDoubles());
        Assert.Equal([0, 5], store.Of(x)!.ToDoubles());
    }

    [Fact]
    public void Where_moves_integers_and_masks_too()
    {
        using var step = Step.Evaluation(_device);
        var mask = step.From([true, false], [2]);
        Assert.Equal([1L, 4L], Op.Where(mask, step.From([1L, 2L], [2]), step.From([3L, 4L], [2])).ToArray<long>());
        var masks = Op.Where(mask, step.From([false, true], [2]), step.From([true, false], [2]));
        Assert.Equal([false, false], masks.ToArray<bool>());
    }

    public void Dispose() => _device.Dispose();

    private double[] Value(Func<Tensor, Tensor> function, params float[] x)
    {
        using var step = Step.Evaluation(_device);
        return function(step.From(x, [x.Length])).ToDoubles();
    }

    private double[] Gradient(Func<Tensor, Tensor> function, params float[] x)
    {
        using var step = Step.Recording(_device);
        using var store = new GradStore();
        var watched = step.Watch(step.From(x, [x.Length]));
        step.Tape.Backward(function(watched), step.Full([x.Length], 1), store);
        return store.Of(watched)!.ToDoubles();
    }

    // Relative to each element; results below the smallest normal float to one part in a thousand.
    private static void AssertNear(double[] expected, double[] actual, double relative = 1e-6)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            double allowed = (Math.Abs(expected[i]) < 1e-37 ? 0.03 : relative) * Math.Abs(expected[i]);
            bool same = actual[i].Equals(expected[i]) || Math.Abs(actual[i] - expected[i]) <= allowed;
            Assert.True(same, $"element {i} is {actual[i]:g9}, not {expected[i]:g9}");
        }
    }
}
