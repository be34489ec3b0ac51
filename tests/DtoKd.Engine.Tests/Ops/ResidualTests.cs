using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>Residual blocks whose dropped samples are not computed, against x + DropPath(branch(x)), which computes all.</summary>
public class ResidualTests
{
    // Six samples: each seed of the tests below drops others.
    private const int Samples = 6, Tokens = 5, Size = 7;

    [Theory]
    [InlineData(1, 0.5)]
    [InlineData(2, 0.5)]
    [InlineData(3, 0.2)]
    [InlineData(4, 0.9)]
    [InlineData(5, 1.0)]
    [InlineData(6, 0.0)]
    public void Values_and_gradients_are_those_of_drop_path(ulong seed, double p)
    {
        var expected = Run(seed, (x, branch) => x + Op.DropPath(branch(x), p));
        var actual = Run(seed, (x, branch) => Op.Residual(x, y => branch(y), p));
        for (int i = 0; i < expected.Length; i++)
        {
            double scale = expected[i].Max(Math.Abs);
            for (int k = 0; k < expected[i].Length; k++)
                Assert.Equal(expected[i][k], actual[i][k], 1e-12 * Math.Max(1, scale));
        }
    }

    [Theory]
    [InlineData(1, 0.5)]
    [InlineData(3, 0.2)]
    [InlineData(5, 1.0)]
    [InlineData(6, 0.0)]
    public void A_branch_may_be_added_to_something_else_than_what_it_reads(ulong seed, double p)
    {
        static Tensor First(Tensor x) => Op.Slice(x, 1, 0, 2);
        var expected = Run(seed, (x, branch) => First(x) + Op.DropPath(First(branch(x)), p));
        var actual = Run(seed, (x, branch) => Op.Residual(x, samples => First(branch(samples)), p, First(x)));
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Length, actual[i].Length);
            for (int k = 0; k < expected[i].Length; k++)
                Assert.Equal(expected[i][k], actual[i][k], 1e-12 * Math.Max(1, expected[i].Max(Math.Abs)));
        }
    }

    [Theory]
    [InlineData(1, 0.5)]
    [InlineData(3, 0.2)]
    [InlineData(5, 1.0)]
    [InlineData(6, 0.0)]
    public void A_branch_that_ends_in_a_product_gives_the_bytes_of_one_that_ends_in_a_tensor(ulong seed, double p)
    {
        static Tensor Scale(Tensor x) => Op.Slice(Op.Slice(x, 0, 0, 1), 1, 0, 1);
        double[][] Of(Func<Tensor, Tensor, Addend> branch) =>
            Run(seed, (x, layers) => Op.Residual(x, y => branch(layers(y), Op.Reshape(Op.Expand(Scale(x), [1, Size, Size]), [Size, Size])), p));
        Assert.Equal(Of((y, w) => Op.Linear(y, w)), Of((y, w) => Addend.Linear(y, w)));
        Assert.Equal(Of((y, w) => Op.Mlp(y, w, null, w, null)), Of((y, w) => Addend.Mlp(y, w, null, w, null)));
    }

    [Theory]
    [InlineData(1, 0.5)]
    [InlineData(5, 1.0)]
    public void Only_kept_samples_go_through_the_branch(ulong seed, double p)
    {
        int computed = -1;
        var y = Run(seed, (x, branch) => Op.Residual(
            x,
            samples =>
            {
                computed = samples.Shape[0];
                return branch(samples);
            },
            p))[0];
        var x = Run(seed, (x, _) => x)[0];
        int changed = Enumerable.Range(0, Samples).Count(i => Enumerable.Range(i * Tokens * Size, Tokens * Size).Any(k => x[k] != y[k]));
        Assert.Equal(changed, computed);
        Assert.True(computed < Samples);
    }

    [Fact]
    public void Outside_of_training_nothing_is_dropped()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        Assert.All(Op.Residual(step.Full([4, 2], 3), x => x, 1).ToArray<float>(), value => Assert.Equal(6, value));
    }

    [Fact]
    public void A_branch_that_changes_the_shape_is_refused_in_training_too()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var x = step.Full([4, 2], 3);
        var error = Assert.Throws<ArgumentException>(() => Op.Residual(x, y => Op.Sum(y, [1]), 1));
        Assert.Contains("the branch makes [0] of [0, 2]", error.Message);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    public void The_bytes_do_not_depend_on_the_threads(int threads) => Assert.Equal(Bytes(1), Bytes(threads));

    private static float[] Bytes(int threads)
    {
        using var device = new CpuDevice(threads);
        float[] result;
        using (var step = Step.Training(device, 1, 2))
        {
            var x = step.Watch(step.From(Wave(Samples * 5000).ToFloats(), [Samples, 5000]));
            var y = Op.Residual(x, branch => Op.Exp(branch), 0.5);
            using var store = new GradStore();
            step.Tape.Backward(y, step.From(Wave(Samples * 5000).ToFloats(), y.Shape), store);
            result = [.. y.ToArray<float>(), .. store.Of(x)!.ToArray<float>()];
        }

        Assert.Equal(0, device.Pool.LiveBytes);
        return result;
    }

    // The result, and the gradients of the input and of the branch's weight, bias, and norm.
    private static double[][] Run(ulong seed, Func<Tensor, Func<Tensor, Tensor>, Tensor> block)
    {
        using var device = new CpuDevice(2);
        using var step = Step.Training(device, seed, 2);
        Tensor Input(int seed, Shape shape) => step.Watch(step.From(Wave((int)shape.Count, seed), shape));
        Tensor[] inputs = [Input(1, [Samples, Tokens, Size]), Input(2, [Size, Size]), Input(3, [Size]), Input(4, [Size])];
        var y = block(inputs[0], x => Op.Linear(Op.LayerNorm(x, inputs[3]), inputs[1], inputs[2]));
        using var store = new GradStore();
        step.Tape.Backward(y, step.From(Wave((int)y.Count, 5), y.Shape), store);
        return [y.ToDoubles(), .. inputs.Select(input => store.Of(input)?.ToDoubles() ?? [])];
    }

    private static double[] Wave(int count, int seed = 0) => [.. Enumerable.Range(0, count).Select(i => Math.Sin((1.7 * i) + seed))];
}

file static class Doubles
{
    public static float[] ToFloats(this double[] values) => Array.ConvertAll(values, value => (float)value);
}
