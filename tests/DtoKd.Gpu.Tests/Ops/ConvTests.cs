using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class ConvTests
{
    // Rows, depths and pixels that fill no tile and no word; groups; an edge on each side.
    private static readonly Conv2dGeometry _uneven = new(2, 6, 13, 7, 140, (2, 3), (2, 1), 1, (1, 2), 2);

    /// <summary>All ways to multiply: the rows of tiles, or their columns on the tensor cores.</summary>
    public static TheoryData<int, MatmulPrecision> Kernels => new()
    {
        { 16, MatmulPrecision.Highest },
        { 32, MatmulPrecision.Highest },
        { 64, MatmulPrecision.Highest },
        { 128, MatmulPrecision.Highest },
        { 64, MatmulPrecision.High },
        { 128, MatmulPrecision.High },
        { 64, MatmulPrecision.Medium },
        { 256, MatmulPrecision.Medium },
    };

    // The numbers are multiples of 1 / 64 that bf16 holds, and their products' sums single precision: every kernel is exact.
    [Theory]
    [MemberData(nameof(Kernels))]
    public void Every_kernel_gives_the_sums_of_the_reference(int tile, MatmulPrecision precision)
    {
        using var cpu = new CpuDevice(1);
        Assert.Equal(Run(cpu, new Conv2dReference(), DType.F64, _uneven), Run(TestDevice.Gpu, new Conv2dGpu(tile, precision), DType.F32, _uneven));
    }

    // A gradient of which three pixels in four are zero: nothing is read for them, of weights that have no words.
    [Theory]
    [InlineData(MatmulPrecision.Highest)]
    [InlineData(MatmulPrecision.High)]
    [InlineData(MatmulPrecision.Medium)]
    public void Pixels_between_the_windows_get_no_gradient(MatmulPrecision precision)
    {
        using var cpu = new CpuDevice(1);
        Conv2dGeometry apart = new(1, 5, 4, 6, 9, 1, 2, 0, 1, 1);
        Assert.Equal(Run(cpu, new Conv2dReference(), DType.F64, apart), Run(TestDevice.Gpu, new Conv2dGpu(64, precision), DType.F32, apart));
    }

    [Theory]
    [InlineData(5, 4, 2, 1)]
    [InlineData(3, 3, 1, 2)]
    [InlineData(1, 7, 3, 1)]
    public void Groups_of_one_channel_give_the_sums_of_the_reference(int height, int width, int stride, int dilation)
    {
        using var cpu = new CpuDevice(1);
        Conv2dGeometry depthwise = new(2, 3, 11, 10, 6, (height, width), (stride, 1), (2, 1), (1, dilation), 3);
        Assert.Equal(Run(cpu, new Conv2dReference(), DType.F64, depthwise), Run(TestDevice.Gpu, new Conv2dGpu(), DType.F32, depthwise));
    }

    [Theory]
    [InlineData(3, 192, 224, 16, 1, true)]
    [InlineData(224, 224, 56, 3, 2, true)]
    [InlineData(1232, 1232, 14, 1, 1, true)]
    [InlineData(64, 64, 56, 1, 1, false)]
    [InlineData(192, 192, 56, 3, 24, false)]
    public void The_device_says_what_is_multiplied_where_a_product_is_worth_packing(
        int inputs, int outputs, int size, int kernel, int groups, bool isTensor)
    {
        using var device = GpuDevice.Emulated();
        device.MatmulPrecision = MatmulPrecision.Medium;
        int stride = kernel == 16 ? 16 : 1;
        Conv2dGeometry geometry = new(8, inputs, size, size, outputs, kernel, stride, kernel == 3 ? 1 : 0, 1, groups);
        var precision = new Conv2dGpu().PrecisionFor(geometry, geometry.GroupO, geometry.Input.Count, device);
        Assert.Equal(isTensor ? MatmulPrecision.Medium : MatmulPrecision.Highest, precision);
    }

    [Fact]
    public void A_sum_over_many_pixels_is_cut_into_pieces_that_warps_share()
    {
        Conv2dGeometry wide = new(1, 2, 128, 70, 3, 1, 1, 0, 1, 1);
        using var step = Step.Evaluation(TestDevice.Gpu);
        Tensor x = Random(step, wide.Input, 1), dy = Random(step, wide.Output, 2), dw = step.Full([3, 2, 1, 1], 0.5);
        new Conv2dGpu().WeightGradient(wide, x, dy, dw, accumulate: true);
        double[] a = x.ToDoubles(), b = dy.ToDoubles(), sums = dw.ToDoubles();
        for (int i = 0; i < sums.Length; i++)
        {
            double sum = 0.5;
            for (int p = 0; p < 128 * 70; p++)
                sum += b[(i / 2 * 128 * 70) + p] * a[(i % 2 * 128 * 70) + p];
            Assert.Equal(sum, sums[i]);
        }
    }

    [Theory]
    [InlineData(6, 10, 3, 1, 2)]
    [InlineData(20, 12, 1, 2, 1)]
    [InlineData(4, 8, 3, 2, 4)]
    public void A_norm_in_one_pass_equals_the_operations(int inputs, int outputs, int kernel, int stride, int groups)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        Tensor x = Random(step, [2, inputs, 7, 6], 1), w = Random(step, [outputs, inputs / groups, kernel, kernel], 2);
        var norm = new FixedNorm(
            Random(step, [outputs], 3), Random(step, [outputs], 4), Random(step, [outputs], 5), Random(step, [outputs], 6) + 1.5);
        var conv = Op.Conv2d(x, w, null, stride, kernel / 2, 1, groups);
        var plain = Op.BatchNorm(conv, norm.Weight, norm.Bias, norm.Mean, norm.Variance, training: false, eps: norm.Epsilon);
        var residual = Random(step, conv.Shape, 7);
        AssertClose(plain, Op.Conv2dNorm(x, w, norm, null, relu: false, stride, kernel / 2, groups));
        AssertClose(Op.Relu(plain + residual), Op.Conv2dNorm(x, w, norm, residual, relu: true, stride, kernel / 2, groups));
    }

    /// <summary>y, dx and dw one after another; the first and the last are added to what was there.</summary>
    private static double[] Run(Device device, IConv2dKernels kernels, DType type, Conv2dGeometry geometry)
    {
        using var step = Step.Evaluation(device);
        Shape weights = [geometry.O, geometry.GroupC, geometry.Kernel.Height, geometry.Kernel.Width];
        Tensor x = Random(step, geometry.Input, 1, type), w = Random(step, weights, 2, type), bias = Random(step, [geometry.O], 3, type);
        Tensor y = Random(step, geometry.Output, 4, type), dy = Random(step, geometry.Output, 5, type);
        Tensor dx = step.New(geometry.Input, type, "dx"), dw = Random(step, weights, 6, type);
        kernels.Forward(geometry, x, w, bias, y, accumulate: true);
        kernels.InputGradient(geometry, dy, w, dx, accumulate: false);
        kernels.WeightGradient(geometry, x, dy, dw, accumulate: true);
        return [.. y.ToDoubles(), .. dx.ToDoubles(), .. dw.ToDoubles()];
    }

    private static Tensor Random(Step step, Shape shape, int seed, DType type = DType.F32)
    {
        var random = new Random(seed);
        float[] values = [.. Enumerable.Range(0, (int)shape.Count).Select(_ => random.Next(-32, 33) / 64f)];
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
