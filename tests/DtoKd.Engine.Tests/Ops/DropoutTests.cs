using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class DropoutTests
{
    public static TheoryData<bool> Both => [false, true];

    [Fact]
    public void Elements_are_dropped_with_probability_p_and_the_mean_stays()
    {
        const int count = 100_000;
        var y = Run(step => Op.Dropout(step.Full([count], 1), 0.3));
        Assert.All(y, value => Assert.True(value == 0 || value == (float)(1 / 0.7)));
        // Five standard deviations of a binomial distribution.
        double share = y.Count(value => value == 0) / (double)count;
        Assert.Equal(0.3, share, 5 * Math.Sqrt(0.3 * 0.7 / count));
        double mean = y.Average(), variance = y.Average(value => (value - mean) * (value - mean));
        Assert.Equal(1, mean, 0.012);
        Assert.Equal(0.3 / 0.7, variance, 0.012);
    }

    [Fact]
    public void A_sample_is_dropped_as_a_whole()
    {
        const int samples = 4000;
        var y = Run(step => Op.DropPath(step.Full([samples, 3], 1), 0.25));
        for (int i = 0; i < samples; i++)
            Assert.True(y[3 * i] is 0 or (float)(1 / 0.75) && y[3 * i] == y[(3 * i) + 1] && y[3 * i] == y[(3 * i) + 2]);
        double share = y.Count(value => value == 0) / (3.0 * samples);
        Assert.Equal(0.25, share, 5 * Math.Sqrt(0.25 * 0.75 / samples));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void Seed_step_and_order_make_the_mask_and_threads_do_not(bool path)
    {
        Tensor Drop(Step step) => path ? Op.DropPath(step.Full([20_000, 1], 1), 0.5) : Op.Dropout(step.Full([20_000], 1), 0.5);
        Tensor Second(Step step)
        {
            Drop(step);
            return Drop(step);
        }

        var first = Run(Drop, seed: 5, number: 9);
        Assert.Equal(first, Run(Drop, seed: 5, number: 9));
        Assert.Equal(first, Run(Drop, seed: 5, number: 9, threads: 7));
        Assert.NotEqual(first, Run(Drop, seed: 6, number: 9));
        Assert.NotEqual(first, Run(Drop, seed: 5, number: 10));
        Assert.NotEqual(first, Run(Second, seed: 5, number: 9));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void The_gradient_passes_where_the_value_did(bool path)
    {
        using var device = new CpuDevice(2);
        using var step = Step.Training(device, 3, 4);
        var x = step.Watch(step.Full([64, 5], 1));
        var y = path ? Op.DropPath(x, 0.4) : Op.Dropout(x, 0.4);
        using var store = new GradStore();
        step.Tape.Backward(y, step.Full([64, 5], 1), store);
        Assert.Equal(y.ToArray<float>(), store.Of(x)!.ToArray<float>());
        Assert.Contains(0f, y.ToArray<float>());
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void Nothing_is_dropped_at_0_and_everything_at_1(bool path)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var x = step.Watch(step.Full([8, 2], 3));
        Tensor Drop(double p) => path ? Op.DropPath(x, p) : Op.Dropout(x, p);
        Assert.Same(x, Drop(0));
        var none = Drop(1);
        Assert.All(none.ToArray<float>(), value => Assert.Equal(0, value));
        using var store = new GradStore();
        step.Tape.Backward(none, step.Full([8, 2], 1), store);
        Assert.All(store.Of(x)!.ToArray<float>(), value => Assert.Equal(0, value));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void Outside_of_training_the_input_itself_comes_back(bool path)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var x = step.Full([8, 2], 3);
        using (step.Evaluating())
            Assert.Same(x, path ? Op.DropPath(x, 0.5) : Op.Dropout(x, 0.5));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void The_pool_is_empty_afterwards(bool path)
    {
        using var device = new CpuDevice(1);
        foreach (bool training in new[] { true, false })
        {
            using (var step = Step.Training(device))
            {
                var x = step.Full([8, 2], 3);
                x = training ? step.Watch(x) : x;
                _ = path ? Op.DropPath(x, 0.5) : Op.Dropout(x, 0.5);
            }

            Assert.Equal(0, device.Pool.LiveBytes);
        }
    }

    private static float[] Run(Func<Step, Tensor> function, ulong seed = 1, ulong number = 2, int threads = 2)
    {
        using var device = new CpuDevice(threads);
        using var step = Step.Training(device, seed, number);
        return function(step).ToArray<float>();
    }
}
