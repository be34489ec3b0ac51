using DtoKd.Engine.Cpu;
using FsCheck;
using FsCheck.Fluent;

namespace DtoKd.Engine.Tests.Properties;

/// <summary>What operations owe under shifts, permutations and expansions of their inputs, on random small shapes.</summary>
public sealed class InvarianceProperties : IDisposable
{
    private const int Cases = 100;

    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Softmax_sums_to_one_ignores_a_shift_and_follows_a_permutation()
    {
        Check((step, a, b, seed) =>
        {
            var x = Random(step, [a, b], seed, 10);
            var y = Op.Softmax(x);
            var shifted = Op.Softmax(x + Random(step, [a, 1], seed + 1, 50));
            var order = Order(b, seed);
            var permuted = Op.Softmax(Op.IndexSelect(x, 1, step.From(order, [b])));
            return Near(Op.Sum(y, [1]), step.Full([a], 1), 1e-6)
                && Near(y, shifted, 1e-5)
                && Near(Op.IndexSelect(y, 1, step.From(order, [b])), permuted, 1e-6)
                && Near(Op.Log(y), Op.LogSoftmax(x), 2e-5);
        });
    }

    [Fact]
    public void Reshape_and_permute_are_undone_by_their_inverses()
    {
        int moved = 0;
        Check((step, a, b, seed) =>
        {
            Shape shape = [a, b, 3, 2];
            var x = Random(step, shape, seed, 1);
            var order = Array.ConvertAll(Order(4, seed), axis => (int)axis);
            var inverse = new int[4];
            for (int i = 0; i < 4; i++)
                inverse[order[i]] = i;
            moved += order.SequenceEqual([0, 1, 2, 3]) ? 0 : 1;
            var permuted = Op.Permute(x, order);
            var there = Op.Reshape(permuted, [a * b * 6]);
            return x.ToArray<float>().SequenceEqual(Op.Permute(Op.Reshape(there, permuted.Shape), inverse).ToArray<float>())
                && permuted.ToArray<float>().SequenceEqual(there.ToArray<float>());
        });
        Assert.True(moved > Cases / 2, $"only {moved} of {Cases} orders moved an axis");
    }

    [Fact]
    public void Broadcasting_equals_an_explicit_expansion_in_value_and_gradient()
    {
        int broadcast = 0;
        Check((step, a, b, seed) =>
        {
            var sizes = new Random(seed);
            Shape full = [a, 3, b], x = Shrink(full, sizes), y = Shrink(full, sizes);
            broadcast += x == full || y == full ? 0 : 1;
            var result = Shape.Broadcast("test", x, y);
            var (left, right) = (step.Watch(Random(step, x, seed, 2)), step.Watch(Random(step, y, seed + 1, 2)));
            var product = left * right;
            var expanded = Op.Contiguous(Op.Expand(left, result)) * Op.Contiguous(Op.Expand(right, result));
            var upstream = Random(step, result, seed + 2, 1);
            using var one = new GradStore();
            using var two = new GradStore();
            step.Tape.Backward(product, upstream, one, retain: true);
            step.Tape.Backward(expanded, upstream, two);
            return product.ToArray<float>().SequenceEqual(expanded.ToArray<float>())
                && Near(one.Of(left)!, two.Of(left)!, 1e-5)
                && Near(one.Of(right)!, two.Of(right)!, 1e-5);
        });
        Assert.True(broadcast > Cases / 4, $"only {broadcast} of {Cases} cases broadcast both sides");
    }

    [Fact]
    public void Attention_equals_its_composition()
    {
        Check((step, queries, keys, seed) =>
        {
            const int Heads = 2, Size = 5;
            var q = step.Watch(Random(step, [2, Heads, queries, Size], seed, 2));
            var k = step.Watch(Random(step, [2, Heads, keys, Size], seed + 1, 2));
            var v = step.Watch(Random(step, [2, Heads, keys, 3], seed + 2, 2));
            var bias = step.Watch(Random(step, [Heads, queries, keys], seed + 3, 2));
            var fused = Op.Attention(q, k, v, bias);
            var scores = Op.Affine(Op.MatMul(q, Op.Transpose(k, -1, -2)), 1 / Math.Sqrt(Size)) + bias;
            var composed = Op.MatMul(Op.Softmax(scores), v);
            var upstream = Random(step, fused.Shape, seed + 4, 1);
            using var one = new GradStore();
            using var two = new GradStore();
            step.Tape.Backward(fused, upstream, one, retain: true);
            step.Tape.Backward(composed, upstream, two);
            return Near(fused, composed, 1e-5)
                && new[] { q, k, v, bias }.All(input => Near(one.Of(input)!, two.Of(input)!, 2e-5));
        });
    }

    private static Tensor Random(Step step, Shape shape, int seed, double range)
    {
        var random = new Random(seed);
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(range * ((2 * random.NextDouble()) - 1));
        return step.From(values, shape);
    }

    /// <summary>The numbers 0 .. count - 1 in a random order.</summary>
    private static long[] Order(int count, int seed)
    {
        var order = Enumerable.Range(0, count).Select(i => (long)i).ToArray();
        new Random(seed).Shuffle(order);
        return order;
    }

    /// <summary>A shape that broadcasts to <paramref name="full"/>: some sizes 1, some leading axes gone.</summary>
    private static Shape Shrink(Shape full, Random random)
    {
        var sizes = full.ToArray();
        for (int i = 0; i < sizes.Length; i++)
            sizes[i] = random.Next(2) == 0 ? 1 : sizes[i];
        return new Shape(sizes.AsSpan(random.Next(full.Rank)));
    }

    private static bool Near(Tensor a, Tensor b, double tolerance)
    {
        double[] x = a.ToDoubles(), y = b.ToDoubles();
        double scale = Math.Max(1, x.Select(Math.Abs).DefaultIfEmpty(0).Max());
        return a.Shape == b.Shape && x.Zip(y).All(pair => Math.Abs(pair.First - pair.Second) <= tolerance * scale);
    }

    private void Check(Func<Step, int, int, int, bool> property)
    {
        var draws =
            from a in Gen.Choose(1, 6)
            from b in Gen.Choose(1, 40)
            from seed in Gen.Choose(0, 1_000_000)
            select (a, b, seed);
        Prop.ForAll(draws.ToArbitrary(), draw =>
        {
            using var step = Step.Recording(_device);
            return property(step, draw.a, draw.b, draw.seed);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases));
        Assert.Equal(0, _device.Pool.LiveBytes);
    }
}
