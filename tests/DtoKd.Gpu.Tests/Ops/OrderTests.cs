using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Which element is chosen where several are equal, not numbers or infinite: the one that the CPU chooses.</summary>
public class OrderTests
{
    // A warp a row, a group a row, and columns.
    public static TheoryData<int, int, int> Shapes => new() { { 8, 70, 1 }, { 8, 1100, 1 }, { 40, 6, 1 }, { 6, 40, 0 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Extremes_are_found_where_the_CPU_finds_them(int rows, int columns, int axis)
    {
        Compare(rows, columns, x => Op.ArgMax(x, axis));
        Compare(rows, columns, x => Op.ArgMin(x, axis));
        Compare(rows, columns, x => Op.Max(x, axis).Indices);
        Compare(rows, columns, x => Op.Min(x, axis).Indices);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Elements_are_sorted_into_the_order_of_the_CPU(int rows, int columns, int axis)
    {
        Compare(rows, columns, x => Op.Sort(x, axis).Indices);
        Compare(rows, columns, x => Op.Sort(x, axis, descending: true).Indices);
        Compare(rows, columns, x => Op.TopK(x, 5, axis).Indices);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Gradients_of_several_uses_add_up(int rows, int columns, int axis)
    {
        using var cpu = new CpuDevice(1);
        Assert.Equal(Gradient(cpu), Gradient(TestDevice.Gpu));

        float[] Gradient(Device device)
        {
            using var step = Step.Recording(device);
            var x = step.Watch(step.From(Values(rows, columns, finite: true), [rows, columns]));
            var y = Op.Sum(Op.Max(x, axis).Values) + Op.Sum(Op.Square(Op.TopK(x, 3, axis).Values)) + Op.Sum(Op.Sort(x, axis).Values * 3);
            using var store = new GradStore();
            step.Tape.Backward(y, store);
            return store.Of(x)!.ToArray<float>();
        }
    }

    private static void Compare(int rows, int columns, Func<Tensor, Tensor> op)
    {
        using var cpu = new CpuDevice(1);
        using Step on = Step.Evaluation(cpu), off = Step.Evaluation(TestDevice.Gpu);
        var values = Values(rows, columns, finite: false);
        Assert.Equal(
            Op.Contiguous(op(on.From(values, [rows, columns]))).ToArray<long>(),
            Op.Contiguous(op(off.From(values, [rows, columns]))).ToArray<long>());
    }

    // Few values, so that many are equal; later rows have zeros of both signs, infinities and NaN among them.
    private static float[] Values(int rows, int columns, bool finite)
    {
        float[] special = [0, -0f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, -float.NaN, float.Epsilon, -float.Epsilon];
        var random = new Random(rows);
        var values = new float[rows * columns];
        for (int i = 0; i < values.Length; i++)
        {
            int row = i / columns;
            bool plain = finite || row == 0 || random.Next(3) > 0;
            values[i] = plain ? random.Next(-3, 3) / 2f : special[random.Next(Math.Min(row, special.Length))];
            // One row has nothing to choose between.
            values[i] = row == 3 && !finite ? float.NegativeInfinity : values[i];
        }

        return values;
    }
}
