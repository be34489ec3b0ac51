using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class ConvTests
{
    private static readonly int[] _tiles = [16, 32, 64, 128];

    // Rows and pixels beyond every tile's, groups, channels that are no multiple of four; an edge on each side.
    private static readonly Conv2dGeometry _uneven = new(2, 10, 13, 15, 140, (3, 3), (2, 1), 1, (1, 2), 2);

    [Fact]
    public void Every_tile_gives_the_same_bits()
    {
        using var step = Step.Evaluation(Emulator.Device);
        var results = _tiles.Select(tile =>
        {
            Tensor x = Random(step, _uneven.Input, 1), w = Random(step, [140, 5, 3, 3], 2), bias = Random(step, [140], 3);
            Tensor y = Random(step, _uneven.Output, 4), dx = step.New(_uneven.Input, DType.F32, "dx");
            var kernels = new Conv2dGpu(tile);
            kernels.Forward(_uneven, x, w, bias, y, accumulate: true);
            kernels.InputGradient(_uneven, y, w, dx, accumulate: false);
            return (float[])[.. y.ToArray<float>(), .. dx.ToArray<float>()];
        }).ToArray();
        Assert.All(results, result => Assert.Equal(results[0], result));
    }

    [Fact]
    public void Every_tile_gives_the_gradient_of_the_weights()
    {
        var expected = WeightGradient(new Engine.Cpu.CpuDevice(1), new Conv2dReference(), DType.F64);
        foreach (int tile in _tiles)
        {
            double[] actual = WeightGradient(Emulator.Device, new Conv2dGpu(tile), DType.F32);
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-4);
        }
    }

    [Theory]
    [InlineData(6, 10, 3, 1, 2)]
    [InlineData(20, 12, 1, 2, 1)]
    [InlineData(4, 8, 3, 2, 4)]
    public void A_norm_in_one_pass_equals_the_operations(int inputs, int outputs, int kernel, int stride, int groups)
    {
        using var step = Step.Evaluation(Emulator.Device);
        Tensor x = Random(step, [2, inputs, 7, 6], 1), w = Random(step, [outputs, inputs / groups, kernel, kernel], 2);
        var norm = new FixedNorm(
            Random(step, [outputs], 3), Random(step, [outputs], 4), Random(step, [outputs], 5), Random(step, [outputs], 6) + 1.5);
        var conv = Op.Conv2d(x, w, null, stride, kernel / 2, 1, groups);
        var plain = Op.BatchNorm(conv, norm.Weight, norm.Bias, norm.Mean, norm.Variance, training: false, eps: norm.Epsilon);
        var residual = Random(step, conv.Shape, 7);
        AssertClose(plain, Op.Conv2dNorm(x, w, norm, null, relu: false, stride, kernel / 2, groups));
        AssertClose(Op.Relu(plain + residual), Op.Conv2dNorm(x, w, norm, residual, relu: true, stride, kernel / 2, groups));
    }

    private static double[] WeightGradient(Device device, IConv2dKernels kernels, DType type)
    {
        using var step = Step.Evaluation(device);
        Tensor x = Random(step, _uneven.Input, 1, type), dy = Random(step, _uneven.Output, 2, type);
        var dw = Random(step, [140, 5, 3, 3], 3, type);
        kernels.WeightGradient(_uneven, x, dy, dw, accumulate: true);
        return dw.ToDoubles();
    }

    private static Tensor Random(Step step, Shape shape, int seed, DType type = DType.F32)
    {
        var random = new Random(seed);
        var values = Enumerable.Range(0, (int)shape.Count).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray();
        return type == DType.F32 ? step.From(values, shape) : step.From(Array.ConvertAll(values, value => (double)value), shape);
    }

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        double[] e = expected.ToDoubles(), a = actual.ToDoubles();
        Assert.Equal(e.Length, a.Length);
        for (int i = 0; i < e.Length; i++)
            Assert.Equal(e[i], a[i], 1e-5);
    }
}
