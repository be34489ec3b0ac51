using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class BatchNormTests
{
    [Fact]
    public void Training_moves_the_running_statistics_and_evaluation_uses_them()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        Tensor mean = step.Zeros([1]), variance = step.Full([1], 1);
        // Mean 5, squared deviations 20: variance 5, unbiased 20 / 3.
        var x = step.From([2f, 4, 6, 8], [4, 1]);
        var y = Op.BatchNorm(x, null, null, mean, variance, training: true, momentum: 0.5, eps: 0);
        Assert.Equal(-3 / Math.Sqrt(5), y.ToArray<float>()[0], 1e-6);
        Assert.Equal(2.5, mean.Item(), 1e-6);
        Assert.Equal(0.5 + (10.0 / 3), variance.Item(), 1e-6);

        y = Op.BatchNorm(x, null, null, mean, variance, training: false, eps: 0);
        Assert.Equal((2 - 2.5) / Math.Sqrt(0.5 + (10.0 / 3)), y.ToArray<float>()[0], 1e-6);
        Assert.Equal(2.5, mean.Item(), 1e-6);
    }

    [Fact]
    public void A_large_mean_does_not_drown_a_small_variance()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        // Two planes of 4096 + 0, 1, 2, 3, 0, ... each; the values are exact.
        var values = Enumerable.Range(0, 40).Select(i => 4096f + (i % 4)).ToArray();
        var y = Op.BatchNorm(step.From(values, [2, 1, 20]), null, null, null, null, training: true, eps: 0).ToArray<float>();
        Assert.Equal(-1.5 / Math.Sqrt(1.25), y[0], 1e-5);
        Assert.Equal(1.5 / Math.Sqrt(1.25), y[^1], 1e-5);
    }

    [Fact]
    public void The_backward_pass_is_unmoved_by_a_later_update_of_the_running_statistics()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        Tensor mean = step.Zeros([1]), variance = step.Full([1], 4);
        var x = step.Watch(step.From([2f, 4], [2, 1]));
        var y = Op.BatchNorm(x, null, null, mean, variance, training: false, eps: 0);
        Op.BatchNorm(step.From([100f, -100], [2, 1]), null, null, mean, variance, training: true);
        using var store = new GradStore();
        step.Tape.Backward(y, step.Full([2, 1], 1), store);
        Assert.Equal([0.5f, 0.5f], store.Of(x)!.ToArray<float>());
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void A_residual_and_a_ReLU_in_the_same_pass_equal_the_operations(bool relu, bool hasResidual)
    {
        using var device = new CpuDevice(2);
        float[][] expected = Run(device, (x, w, b, r) =>
        {
            var y = Op.BatchNorm(x, w, b, null, null, training: true);
            y = hasResidual ? y + r : y;
            return relu ? Op.Relu(y) : y;
        });
        float[][] actual = Run(device, (x, w, b, r) =>
            Op.BatchNorm(x, w, b, null, null, training: true, residual: hasResidual ? r : null, relu: relu));

        Assert.Equal(expected[0], actual[0]);
        for (int k = 1; k < expected.Length; k++)
        {
            for (int i = 0; i < expected[k].Length; i++)
                Assert.Equal(expected[k][i], actual[k][i], 1e-5 * Math.Max(1, Math.Abs(expected[k][i])));
        }
    }

    // Results of 16 MiB are stored past the caches, where the planes' size allows it.
    [Theory]
    [InlineData(SimdLevel.Portable, 1 << 17)]
    [InlineData(SimdLevel.Avx2, 1 << 17)]
    [InlineData(SimdLevel.Avx512, 1 << 17)]
    [InlineData(SimdLevel.Avx512, (1 << 17) + 1)]
    public void A_channel_of_a_large_result_is_as_if_computed_alone(SimdLevel simd, int plane)
    {
        const int Channels = 16;
        using var device = new CpuDevice(2, simd);
        var random = new Random(plane);
        float[] x = [.. Enumerable.Range(0, 2 * Channels * plane).Select(_ => random.NextSingle() - 0.25f)];
        float[] all = Norm(x, Channels);
        foreach (int channel in new[] { 0, Channels / 2, Channels - 1 })
            Assert.Equal(Of(all, channel), Norm(Of(x, channel), 1));

        float[] Of(float[] values, int channel) =>
            [.. values.AsSpan(channel * plane, plane), .. values.AsSpan((Channels + channel) * plane, plane)];

        float[] Norm(float[] values, int channels)
        {
            using var step = Step.Evaluation(device);
            var input = step.From(values, [2, channels, plane]);
            return Op.BatchNorm(input, null, null, null, null, training: true, residual: input, relu: true).ToArray<float>();
        }
    }

    // The result, then the gradients of x, weight, bias and residual; every input is also read by a second operation.
    private static float[][] Run(Device device, Func<Tensor, Tensor, Tensor, Tensor, Tensor> norm)
    {
        const int Channels = 5;
        Shape shape = [3, Channels, 6, 7];
        using var step = Step.Recording(device);
        Tensor Input(Shape of, int seed)
        {
            var random = new Random(seed);
            return step.Watch(step.From([.. Enumerable.Range(0, (int)of.Count).Select(_ => (random.NextSingle() * 4) - 2)], of));
        }

        Tensor x = Input(shape, 1), w = Input([Channels], 2), b = Input([Channels], 3), r = Input(shape, 4);
        var y = norm(x, w, b, r);
        using var store = new GradStore();
        step.Tape.Backward(Op.Sum(y * Op.Sin(y)) + Op.Sum(x * r) + Op.Sum(w * b), store);
        return [y.ToArray<float>(), .. new[] { x, w, b, r }.Select(input => store.Of(input)!.ToArray<float>())];
    }
}
