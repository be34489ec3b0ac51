using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class WindowAttentionTests
{
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
        using var step = Step.Evaluation(Emulator.Device);
        Tensor Uneven(params int[] sizes)
        {
            Shape shape = new(sizes);
            return step.From(Array.ConvertAll(Enumerable.Range(0, (int)shape.Count).ToArray(), i => MathF.Sin(1.7f * i)), shape);
        }

        Tensor qkv = Uneven(3, 2, 4, 6), table = Uneven(9, 1), dy = Uneven(3, 2, 4, 2), dQkv = Uneven(3, 2, 4, 6);
        var kernel = new WindowAttentionGpu(WindowLayout.Of("test", 2, 4, 2, 1, 1), qkv, table, heads: 1, enoughGroups);
        var dTable = step.New([kernel.Pieces, 9, 1], DType.F32, "test");
        kernel.Backward(dy, new GradTarget(dQkv, Accumulate: true), dTable);
        return (kernel.Pieces, dQkv.ToArray<float>(), Op.Sum(dTable, [0]).ToArray<float>());
    }
}
