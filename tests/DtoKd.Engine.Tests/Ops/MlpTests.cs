using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>The perceptron against the operations that it is made of: not near, but the same bytes.</summary>
public class MlpTests
{
    // Both products have tiles that stick out, and the second one two blocks of K.
    private const int Samples = 3, Tokens = 17, Size = 53, Hidden = 403;

    private static readonly Shape[] Shapes = [[Samples, Tokens, Size], [Hidden, Size], [Hidden], [Size, Hidden], [Size], [Samples, Tokens, Size]];

    public static TheoryData<SimdLevel, bool> Levels => new(
        from level in Enum.GetValues<SimdLevel>() from flows in new[] { true, false } select (level, flows));

    /// <param name="level">The vectors.</param>
    /// <param name="flows">Whether there is a gradient at all.</param>
    [Theory]
    [MemberData(nameof(Levels))]
    public void Values_and_gradients_are_those_of_its_operations(SimdLevel level, bool flows)
    {
        float[][] expected = Run(level, 2, flows, t => t[5] + Op.Linear(Op.Gelu(Op.Linear(t[0], t[1], t[2])), t[3], t[4]));
        Assert.Equal(expected, Run(level, 2, flows, t => Op.Mlp(t[0], t[1], t[2], t[3], t[4], t[5])));
    }

    [Fact]
    public void Without_a_gradient_to_the_hidden_layer_the_others_are_the_same()
    {
        float[][] expected = Run(SimdLevel.Avx2, 1, true, t => Op.Linear(Op.Gelu(Op.Linear(t[0].Detach(), t[1].Detach(), t[2].Detach())), t[3], t[4]));
        Assert.Equal(expected, Run(SimdLevel.Avx2, 1, true, t => Op.Mlp(t[0].Detach(), t[1].Detach(), t[2].Detach(), t[3], t[4])));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    public void The_bytes_do_not_depend_on_the_threads(int threads)
    {
        float[][] Of(int count) => Run(SimdLevel.Avx2, count, true, t => Op.Mlp(t[0], t[1], t[2], t[3], t[4], t[5]));
        Assert.Equal(Of(1), Of(threads));
    }

    [Fact]
    public void The_tape_keeps_the_hidden_values_and_their_slope_and_nothing_else_of_that_size()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Training(device);
        var inputs = Inputs(step, watched: true);
        long before = step.Tape.SavedBytes;
        Op.Mlp(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]);
        long others = sizeof(float) * (inputs[0].Count + inputs[1].Count + inputs[3].Count);
        Assert.Equal(others + (2L * sizeof(float) * Samples * Tokens * Hidden), step.Tape.SavedBytes - before);
    }

    // The result, and the gradients of the inputs where they flow.
    private static float[][] Run(SimdLevel level, int threads, bool flows, Func<Tensor[], Tensor> function)
    {
        using var device = new CpuDevice(threads, level);
        float[][] result;
        using (var step = flows ? Step.Training(device) : Step.Evaluation(device))
        {
            var inputs = Inputs(step, flows);
            var y = function(inputs);
            result = [y.ToArray<float>()];
            if (flows)
            {
                using var store = new GradStore();
                step.Tape.Backward(y, step.From(Wave((int)y.Count, 9), y.Shape), store);
                result = [.. result, .. inputs.Select(input => store.Of(input)?.ToArray<float>() ?? [])];
            }
        }

        Assert.Equal(0, device.Pool.LiveBytes);
        return result;
    }

    private static Tensor[] Inputs(Step step, bool watched) =>
    [
        .. Shapes.Select((shape, i) =>
        {
            var input = step.From(Wave((int)shape.Count, i), shape);
            return watched ? step.Watch(input) : input;
        }),
    ];

    private static float[] Wave(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => (float)Math.Sin((1.7 * i) + seed))];
}
