using DtoKd.Engine.Cpu;
using static DtoKd.Engine.Tests.Ops.ConvCases;

namespace DtoKd.Engine.Tests.Ops;

public class Conv2dBatchNormTests
{
    // Inputs, outputs, kernel, stride, groups, size: panels, panels of strided pixels, groups of planes, planes in bands, tiles.
    public static TheoryData<int, int, int, int, int, int> Shapes => new()
    {
        { 24, 40, 1, 1, 1, 9 },
        { 24, 40, 1, 2, 1, 9 },
        { 12, 26, 3, 1, 2, 11 },
        { 8, 8, 3, 2, 2, 13 },
        { 3, 6, 5, 1, 1, 70 },
        { 18, 21, 3, 1, 1, 9 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Moments_taken_on_the_way_are_those_of_the_result_on_every_vector_width(
        int inputs, int outputs, int kernel, int stride, int groups, int size)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            using var device = new CpuDevice(2, simd);
            using var step = Step.Recording(device);
            Tensor x = Random(step, [5, inputs, size, size + 1], 1), w = Random(step, [outputs, inputs / groups, kernel, kernel], 2);
            TrainingNorm norm = Norm(step, outputs, 3), same = Norm(step, outputs, 3);
            var conv = Op.Conv2d(x, w, null, stride, kernel / 2, 1, groups);
            var expected = Op.BatchNorm(conv, norm.Weight, norm.Bias, norm.RunningMean, norm.RunningVar, training: true, relu: true);
            var actual = Op.Conv2dBatchNorm(x, w, same, relu: true, stride, kernel / 2, groups).ToTensor();
            AssertClose(expected, actual, 1e-5);
            AssertClose(norm.RunningMean, same.RunningMean, 1e-5);
            AssertClose(norm.RunningVar, same.RunningVar, 1e-5);
        }
    }

    // A mean of a thousand times the deviation: squares would lose six of seven digits.
    [Theory]
    [InlineData(12, 16, 1, 1)]
    [InlineData(8, 8, 3, 4)]
    public void Far_from_zero_the_variance_keeps_its_digits(int inputs, int outputs, int kernel, int groups)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            using var device = new CpuDevice(2, simd);
            using var step = Step.Recording(device);
            var x = Random(step, [4, inputs, 30, 30], 1) + step.Full([1], 1000);
            // One weight for each result: the convolution copies, and the sums are exact.
            float[] weights = new float[outputs * inputs / groups * kernel * kernel];
            for (int o = 0; o < outputs; o++)
                weights[(o * inputs / groups * kernel * kernel) + (kernel * kernel / 2)] = 1;
            var w = step.From(weights, [outputs, inputs / groups, kernel, kernel]);
            var norm = Norm(step, outputs, 2);
            Op.Conv2dBatchNorm(x, w, norm with { Momentum = 1 }, groups: groups).ToTensor();
            double[] values = Op.Conv2d(x, w, groups: groups).ToDoubles(), variance = norm.RunningVar.ToDoubles();
            int plane = values.Length / 4 / outputs;
            for (int c = 0; c < outputs; c++)
            {
                double[] channel = [.. Enumerable.Range(0, 4).SelectMany(n => values.Skip(((n * outputs) + c) * plane).Take(plane))];
                double mean = channel.Average();
                double expected = channel.Sum(value => (value - mean) * (value - mean)) / (channel.Length - 1);
                Assert.Equal(expected, variance[c], 1e-5 * expected);
            }
        }
    }

    // Groups of planes and depthwise kernels, with strides: what is read is what would have been stored.
    [Theory]
    [InlineData(16, 16, 2, 1, true)]
    [InlineData(16, 24, 4, 2, true)]
    [InlineData(17, 17, 17, 1, false)]
    [InlineData(20, 20, 20, 3, true)]
    public void A_norm_that_is_read_gives_the_bytes_of_one_that_is_stored(int width, int outputs, int groups, int stride, bool relu)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            (float[] Result, float[][] Gradients) Run(bool stored)
            {
                using var device = new CpuDevice(2, simd);
                using var step = Step.Recording(device);
                Tensor Watched(Shape shape, int seed) => step.Watch(Random(step, shape, seed));
                Tensor[] inputs =
                [
                    Watched([3, 24, 15, 18], 1), Watched([width, 24, 1, 1], 2), Watched([width], 3), Watched([width], 4),
                    Watched([outputs, width / groups, 3, 3], 5),
                ];
                TrainingNorm first = Norm(step, width, 6) with { Weight = inputs[2], Bias = inputs[3] }, second = Norm(step, outputs, 7);
                var between = Op.Conv2dBatchNorm(inputs[0], inputs[1], first, relu);
                var y = stored
                    ? Op.Conv2dBatchNorm(between.ToTensor(), inputs[4], second, false, stride, 1, groups).ToTensor()
                    : Op.Conv2dBatchNorm(between, inputs[4], second, false, stride, 1, groups).ToTensor();
                using var store = new GradStore();
                step.Tape!.Backward(y, Random(step, y.Shape, 8), store);
                Tensor[] running = [first.RunningMean, first.RunningVar, second.RunningMean, second.RunningVar];
                return ([.. y.ToArray<float>(), .. running.SelectMany(t => t.ToArray<float>())],
                    Array.ConvertAll(inputs, input => store.Of(input)!.ToArray<float>()));
            }

            var (result, gradients) = Run(stored: true);
            var (read, readGradients) = Run(stored: false);
            Assert.Equal(result, read);
            Assert.Equal(gradients, readGradients);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void What_is_not_a_number_stays_so_behind_a_norm_that_is_read(int stride)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            using var device = new CpuDevice(1, simd);
            using var step = Step.Recording(device);
            float[] values = Random(step, [2, 4, 12, 11], 1).ToArray<float>();
            values[200] = float.NaN;
            var norm = Op.Conv2dBatchNorm(step.From(values, [2, 4, 12, 11]), Random(step, [4, 4, 1, 1], 2), Norm(step, 4, 3), relu: true);
            var y = Op.Conv2dBatchNorm(norm, Random(step, [4, 1, 3, 3], 4), Norm(step, 4, 5), false, stride, 1, groups: 4).ToTensor();
            Assert.All(y.ToArray<float>(), value => Assert.True(float.IsNaN(value)));
        }
    }

    [Fact]
    public void A_deferred_norm_is_read_once()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = Random(step, [2, 3, 4, 4], 1);
        var norm = Op.Conv2dBatchNorm(x, Random(step, [4, 3, 1, 1], 2), Norm(step, 4, 3));
        Assert.Equal(new Shape(2, 4, 4, 4), norm.Shape);
        norm.ToTensor();
        Assert.Contains("was read before", Assert.Throws<InvalidOperationException>(() => norm.ToTensor()).Message);
        var weight = Random(step, [4, 2, 3, 3], 4);
        Assert.Throws<InvalidOperationException>(() => Op.Conv2dBatchNorm(norm, weight, Norm(step, 4, 5), groups: 2));
    }

    private static TrainingNorm Norm(Step step, int channels, int seed) => new(
        Random(step, [channels], seed), Random(step, [channels], seed + 100), step.Zeros([channels]), step.Full([channels], 1));
}
