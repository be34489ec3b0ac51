using DtoKd.Engine.Cpu;
using static DtoKd.Engine.Tests.Ops.ConvCases;

namespace DtoKd.Engine.Tests.Ops;

public class Conv2dNormTests
{
    private const double Tolerance = 3e-6;

    // One of each way to compute: tiles of 2 x 2, panels of pixels, few channels; odd sizes, so that there are edges.
    public static TheoryData<int, int, int, int, int, int> Shapes => new()
    {
        { 18, 21, 3, 1, 1, 9 },
        { 34, 32, 3, 1, 2, 13 },
        { 40, 13, 1, 1, 1, 7 },
        { 24, 40, 1, 1, 2, 9 },
        { 32, 56, 3, 2, 2, 11 },
        { 6, 4, 3, 1, 2, 9 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void One_pass_equals_the_operations_on_every_vector_width(
        int inputs, int outputs, int kernel, int stride, int groups, int size)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            using var device = new CpuDevice(2, simd);
            using var step = Step.Evaluation(device);
            var c = new Case(step, inputs, outputs, kernel, stride, groups, size);
            var conv = Op.Conv2d(c.X, c.Weight, null, stride, kernel / 2, 1, groups);
            var n = c.Norm;
            var plain = Op.BatchNorm(conv, n.Weight, n.Bias, n.Mean, n.Variance, training: false, eps: n.Epsilon);
            AssertClose(plain, c.Run(null, relu: false), Tolerance);
            var residual = Random(step, conv.Shape, 7);
            AssertClose(plain + residual, c.Run(residual, relu: false), Tolerance);
            AssertClose(Op.Relu(plain + residual), c.Run(residual, relu: true), Tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_gate_equals_a_product_before_on_every_vector_width(
        int inputs, int outputs, int kernel, int stride, int groups, int size)
    {
        foreach (var simd in Enum.GetValues<SimdLevel>())
        {
            using var device = new CpuDevice(2, simd);
            using var step = Step.Evaluation(device);
            var c = new Case(step, inputs, outputs, kernel, stride, groups, size);
            var gate = Random(step, [3, inputs, 1, 1], 8);
            Tensor Run(Tensor x, Tensor? gate) => Op.Conv2dNorm(x, c.Weight, c.Norm, null, false, stride, kernel / 2, groups, gate);
            Assert.Equal(Run(c.X * gate, null).ToArray<float>(), Run(c.X, gate).ToArray<float>());
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Any_number_of_threads_gives_the_same_bytes(int inputs, int outputs, int kernel, int stride, int groups, int size)
    {
        float[] Run(int threads)
        {
            using var device = new CpuDevice(threads);
            using var step = Step.Evaluation(device);
            return new Case(step, inputs, outputs, kernel, stride, groups, size).Run(null, relu: true).ToArray<float>();
        }

        float[] one = Run(1);
        Assert.Equal(one, Run(2));
        Assert.Equal(one, Run(7));
    }

    private sealed class Case(Step step, int inputs, int outputs, int kernel, int stride, int groups, int size)
    {
        public Tensor X { get; } = Random(step, [3, inputs, size, size + 1], 1);

        public Tensor Weight { get; } = Random(step, [outputs, inputs / groups, kernel, kernel], 2);

        public FixedNorm Norm { get; } = new(
            Random(step, [outputs], 3), Random(step, [outputs], 4), Random(step, [outputs], 5),
            Random(step, [outputs], 6) + step.Full([outputs], 1));

        public Tensor Run(Tensor? residual, bool relu) =>
            Op.Conv2dNorm(X, Weight, Norm, residual, relu, stride, kernel / 2, groups);
    }
}
