using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public sealed unsafe class SparseConvTests
{
    // Channels of one mask and of several; of one block of sums and of several, the last one short; whole and incomplete panels
    // of results; blocks of pixels within an image and across images.
    public static TheoryData<int, int, int, int> Shapes => new()
    {
        { 48, 112, 3, 7 },
        { 64, 110, 1, 5 },
        { 65, 225, 2, 15 },
        { 256, 30, 3, 4 },
        { 300, 113, 2, 9 },
        { 1100, 57, 5, 3 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Skipping_zeros_gives_the_bytes_of_the_dense_product(int inputs, int outputs, int images, int size)
    {
        Check<Lane512, Avx512Kernel>(inputs, outputs, images, size);
        Check<Lane256, Avx2Kernel>(inputs, outputs, images, size);
        Check<LaneVector, PortableKernel>(inputs, outputs, images, size);
    }

    [Fact]
    public void The_choice_follows_the_share_of_zeros()
    {
        var geometry = Geometry(112, 112, 2, 12);
        Assert.True(Suits(geometry, 0.5));
        Assert.False(Suits(geometry, 0.05));
        Assert.False(Suits(geometry with { Padding = 1 }, 0.5));
        Assert.False(Suits(Geometry(16, 112, 2, 12), 0.5));
        Assert.False(Suits(Geometry(112, 112, 1, 5), 0.5));
        // Twenty sums of a panel of 112 would be used.
        Assert.False(Suits(Geometry(112, 20, 2, 12), 0.5));
    }

    [Fact]
    public void What_is_not_a_number_is_not_skipped()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        float[] x = Values(1, 64 * 81, 0.6);
        x[(3 * 81) + 4] = float.NaN;
        var y = Op.Conv2d(step.From(x, [1, 64, 9, 9]), step.From(Values(2, 112 * 64, 0), [112, 64, 1, 1])).ToArray<float>();
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(i % 81 == 4, float.IsNaN(y[i]));
    }

    private static bool Suits(Conv2dGeometry g, double zeros)
    {
        fixed (float* x = Values(3, g.N * g.C * g.H * g.W, zeros))
            return SparseConv.Suits<Lane512>(g, x);
    }

    private static void Check<V, TKernel>(int inputs, int outputs, int images, int size)
        where V : unmanaged, IFloatLane<V>
        where TKernel : struct, IMicroKernel
    {
        var g = Geometry(inputs, outputs, images, size);
        long results = g.Output.Count;
        float[] gates = Values(4, images * inputs, 0), affine = Values(5, 2 * outputs, 0);
        fixed (float* x = Values(6, (int)g.Input.Count, 0.5), w = Values(7, outputs * inputs, 0), gate = gates, scale = affine)
        fixed (float* residual = Values(8, (int)results, 0))
        {
            foreach (int threads in new[] { 1, 3 })
            {
                using var device = new CpuDevice(threads);
                foreach (bool gated in new[] { false, true })
                {
                    var epilogue = gated
                        ? new ConvEpilogue { Scale = scale, Shift = scale + outputs, Residual = residual, Relu = true }
                        : new ConvEpilogue { Accumulate = true };
                    float[] dense = Values(9, (int)results, 0), sparse = (float[])dense.Clone();
                    fixed (float* to = dense)
                        ConvPanels.Run<V, TKernel>(device, g, x, gated ? gate : null, ConvWeight.Forward(w, g), epilogue, to);
                    fixed (float* to = sparse)
                        SparseConv.Run<V>(device, g, x, gated ? gate : null, ConvWeight.Forward(w, g), epilogue, to);
                    Assert.Equal(dense, sparse);
                }
            }
        }
    }

    private static Conv2dGeometry Geometry(int inputs, int outputs, int images, int size) =>
        new Conv2dGeometry(images, inputs, size, size + 1, outputs, 1, 1, 0, 1, 1).Flattened();

    /// <summary>Values of [-0.4, 0.6), of which a share is zero, half of that negative zero.</summary>
    private static float[] Values(int seed, int count, double zeros)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() switch
        {
            var u when u < zeros / 2 => -0f,
            var u when u < zeros => 0f,
            _ => (float)(random.NextDouble() - 0.4),
        })];
    }
}
