using DtoKd.Engine.Cpu;
using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine.Tests.Ops;

public class AttentionTests
{
    [Theory]
    [InlineData(5, 7, 4, 6)]
    [InlineData(150, 211, 16, 8)]
    public void Equals_the_composition_of_products_and_softmax_in_value_and_gradients(int queries, int keys, int depth, int width)
    {
        OpInput[] inputs =
        [
            Float(2, 3, queries, depth), Float(2, 3, keys, depth), Float(2, 3, keys, width), Float(3, queries, keys),
        ];
        AssertSame(
            new("fused", inputs, t => Op.Attention(t[0], t[1], t[2], t[3], scale: 0.4)),
            new("composed", inputs, t =>
                Op.MatMul(Op.Softmax((Op.MatMul(t[0], Op.Transpose(t[1], -1, -2)) * 0.4) + t[3]), t[2])));
    }

    [Fact]
    public void Self_attention_equals_attention_over_the_parts_of_the_product()
    {
        const int Heads = 3, Depth = 4, Tokens = 10;
        OpInput[] inputs = [Float(2, Tokens, 3 * Heads * Depth), Float(Heads, Tokens, Tokens)];
        AssertSame(
            new("packed", inputs, t => Op.SelfAttention(t[0], Heads, t[1])),
            new("parts", inputs, t =>
            {
                var parts = Op.Permute(Op.Reshape(t[0], [2, Tokens, 3, Heads, Depth]), 2, 0, 3, 1, 4);
                Tensor Part(int i) => Op.Reshape(Op.Slice(parts, 0, i, i + 1), [2, Heads, Tokens, Depth]);
                var y = Op.Attention(Part(0), Part(1), Part(2), t[1]);
                return Op.Reshape(Op.Permute(y, 0, 2, 1, 3), [2, Tokens, Heads * Depth]);
            }));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(2, 1)]
    public void Window_attention_equals_rolling_cutting_and_attending(int down, int right)
    {
        OpInput[] inputs = [Float(2, 6, 9, 3 * 2 * 5), Float(25, 2)];
        AssertSame(
            new("in place", inputs, t => Op.WindowAttention(t[0], 2, t[1], 3, down, right)),
            new("composed", inputs, t => Op.ComposedWindowAttention(t[0], 2, t[1], 3, down, right)));
    }

    [Fact]
    public void A_score_that_is_not_a_number_shows_in_the_result_beside_masked_ones()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var k = step.From([float.NaN, 1f, 2f], [3, 1]);
        var y = Op.Attention(step.From([1f], [1, 1]), k, step.From([1f, 2f, 3f], [3, 1]), mask: step.From([true, false, false], [1, 3]));
        Assert.True(double.IsNaN(y.Item()));
    }

    [Fact]
    public void Joining_the_heads_of_the_result_copies_nothing()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var q = step.Full([2, 3, 5, 4], 1);
        Assert.True(Op.Permute(Op.Attention(q, q, q), 0, 2, 1, 3).IsContiguous);
    }

    [Fact]
    public void No_tensor_of_the_scores_size_is_kept()
    {
        const int Tokens = 512, Depth = 8;
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var q = step.Watch(step.Full([4, Tokens, Depth], 0.1));
        long before = device.Pool.PeakBytes;
        var y = Op.Attention(q, q, q);
        using var store = new GradStore();
        step.Tape.Backward(Op.Sum(y), store);
        Assert.True(device.Pool.PeakBytes - before < 4L * Tokens * Tokens * sizeof(float));
    }

    [Fact]
    public void A_query_that_may_attend_to_nothing_gives_zeros_and_takes_part_in_no_gradient()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var q = step.Watch(step.From([1f, 2f, 3f, 4f], [2, 2]));
        var k = step.Watch(step.From([1f, 0f, 0f, 1f, 1f, 1f], [3, 2]));
        var v = step.From([1f, 10f, 100f], [3, 1]);
        var mask = step.From([false, false, false, false, true, false], [2, 3]);
        var y = Op.Attention(q, k, v, mask: mask);
        Assert.Equal([0f, 10f], y.ToArray<float>());
        using var store = new GradStore();
        step.Tape.Backward(Op.Sum(y), store);
        Assert.Equal(new float[4], store.Of(q)!.ToArray<float>());
        Assert.Equal(new float[6], store.Of(k)!.ToArray<float>());
    }

    [Fact]
    public void Large_scores_do_not_overflow()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var q = step.From([300f], [1, 1]);
        var k = step.From([300f, 299f], [2, 1]);
        var v = step.From([7f, 8f], [2, 1]);
        Assert.Equal(7.0, Op.Attention(q, k, v).Item());
    }

    private static void AssertSame(OpSample expected, OpSample actual)
    {
        var one = OpRun.Of(expected, DType.F32, gradients: true);
        var other = OpRun.Of(actual, DType.F32, gradients: true);
        Assert.Equal(one.Shape, other.Shape);
        AssertClose(one.Result, other.Result);
        for (int i = 0; i < one.Gradients.Length; i++)
            AssertClose(one.Gradients[i]!, other.Gradients[i]!);
    }

    private static void AssertClose(double[] one, double[] other)
    {
        double scale = one.Max(Math.Abs);
        for (int i = 0; i < one.Length; i++)
            Assert.Equal(one[i], other[i], 2e-5 * scale);
    }
}
