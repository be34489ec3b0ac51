using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class WindowAttentionTests
{
    [Theory]
    [InlineData(8, 4, 0)] // as many tokens as a tile has rows
    [InlineData(6, 36, 0)] // heads wider than a strip and a slice
    [InlineData(2, 40, 1)] // the same with the smaller tile
    [InlineData(2, 18, 1)] // without vectors
    public void Windows_that_fill_tiles_strips_or_slices_are_those_of_the_CPU(int window, int depth, int shift)
    {
        using var cpu = new CpuDevice(1);
        float[][] expected = Run(cpu), actual = Run(TestDevice.Gpu);
        for (int k = 0; k < expected.Length; k++)
        {
            float largest = expected[k].Max(MathF.Abs);
            for (int i = 0; i < expected[k].Length; i++)
                Assert.Equal(expected[k][i], actual[k][i], 1e-5f * largest);
        }

        // The result, and the gradients of product and table.
        float[][] Run(Device device)
        {
            using var step = Step.Recording(device);
            using var gradients = new GradStore();
            var qkv = step.Watch(Uneven(step, 1, window, 2 * window, 3 * depth));
            var table = step.Watch(Uneven(step, ((2 * window) - 1) * ((2 * window) - 1), 1));
            var y = Op.WindowAttention(qkv, 1, table, window, 0, shift);
            step.Tape.Backward(y, Uneven(step, 1, window, 2 * window, depth), gradients);
            return [y.ToArray<float>(), gradients.Of(qkv)!.ToArray<float>(), gradients.Of(table)!.ToArray<float>()];
        }
    }

    [Fact]
    public void Groups_of_several_windows_have_the_gradients_of_groups_of_one()
    {
        var apart = Gradients(enoughGroups: 1024);
        var together = Gradients(enoughGroups: 2);
        Assert.Equal(6, apart.Pieces);
        Assert.Equal(2, together.Pieces);
        Assert.Equal(apart.Product, together.Product);
        for (int i = 0; i < apart.Table.Length; i++)
            Assert.Equal(apart.Table[i], together.Table[i], 1e-5f);
    }

    /// <summary>The gradients of a head in three maps of two windows.</summary>
    private static (int Pieces, float[] Product, float[] Table) Gradients(int enoughGroups)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        Tensor qkv = Uneven(step, 3, 2, 4, 6), table = Uneven(step, 9, 1), dy = Uneven(step, 3, 2, 4, 2), dQkv = Uneven(step, 3, 2, 4, 6);
        var kernel = new WindowAttentionGpu(WindowLayout.Of("test", 2, 4, 2, 1, 1), qkv, table, heads: 1, enoughGroups);
        var dTable = step.New([kernel.Pieces, 9, 1], DType.F32, "test");
        kernel.Backward(dy, new GradTarget(dQkv, Accumulate: true), dTable);
        return (kernel.Pieces, dQkv.ToArray<float>(), Op.Sum(dTable, [0]).ToArray<float>());
    }

    private static Tensor Uneven(Step step, params int[] sizes)
    {
        Shape shape = new(sizes);
        return step.From(Array.ConvertAll(Enumerable.Range(0, (int)shape.Count).ToArray(), i => MathF.Sin(1.7f * i)), shape);
    }
}
