using DtoKd.Engine.Cpu;
using FsCheck;
using FsCheck.Fluent;

namespace DtoKd.Engine.Tests.Properties;

/// <summary>
/// What a linear operation J owes on random small shapes, whatever its kernel: J(ax + by) = aJx + bJy, and a backward rule that
/// is its adjoint, &lt;Jv, u&gt; = &lt;v, J^T u&gt;. In double precision.
/// </summary>
public class LinearOpProperties
{
    private const int Cases = 100;

    private static readonly Dictionary<string, (Func<Sizes, Shape> Input, Func<Tensor, Sizes, Tensor> Apply)> _ops = new()
    {
        ["sum"] = (s => [s.A, s.B, s.C], (x, _) => Op.Sum(x, [1])),
        ["mean"] = (s => [s.A, s.B, s.C], (x, _) => Op.Mean(x, [0, 2])),
        ["reshape"] = (s => [s.A, s.B, s.C], (x, s) => Op.Reshape(x, [s.C, s.A * s.B])),
        ["permute"] = (s => [s.A, s.B, s.C], (x, _) => Op.Permute(x, 2, 0, 1)),
        ["slice"] = (s => [s.A, s.B + 3, s.C], (x, s) => Op.Slice(x, 1, 1, s.B + 2, 2)),
        ["pad"] = (s => [s.A, s.B, s.C], (x, s) => Op.Pad(x, [1, s.A])),
        ["roll"] = (s => [s.A, s.B, s.C], (x, s) => Op.Roll(x, [s.A, 1], [1, 2])),
        ["expand"] = (s => [s.A, 1, s.C], (x, s) => Op.Expand(x, [2, s.A, s.B, s.C])),
        ["concat with itself"] = (s => [s.A, s.B, s.C], (x, _) => Op.Concat([x, x], 1)),
        ["index select"] = (s => [s.A, s.B, s.C], (x, s) => Op.IndexSelect(x, 1, Indices(x, [4], s.B))),
        ["gather"] = (s => [s.A, s.B], (x, s) => Op.Gather(x, 1, Indices(x, [s.A, 3], s.B))),
        ["matmul, left"] = (s => [s.A, s.B], (x, s) => Op.MatMul(x, Constant(x, [s.B, s.C]))),
        ["matmul, right"] = (s => [2, s.B, s.C], (x, s) => Op.MatMul(Constant(x, [s.A, s.B]), x)),
        ["conv2d, image"] = (s => [2, s.A, s.B + 2, s.C + 2],
            (x, s) => Op.Conv2d(x, Constant(x, [3, s.A, 3, 3]), stride: 2, padding: 1)),
        ["conv2d, weight"] = (s => [s.A, 2, 3, 2],
            (x, s) => Op.Conv2d(Constant(x, [2, 2, s.B + 2, s.C + 2]), x, padding: 1)),
        ["average pool"] = (s => [2, s.A, s.B + 2, s.C + 2], (x, _) => Op.AvgPool2d(x, 3, 2, 1)),
    };

    public static TheoryData<string> Names => [.. _ops.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Is_linear_and_its_backward_rule_is_its_adjoint(string name)
    {
        var (input, apply) = _ops[name];
        using var device = new CpuDevice(1);
        var gen =
            from sizes in Gen.Choose(1, 5).ArrayOf(3)
            from seed in Gen.Choose(0, 1_000_000)
            select (Sizes: new Sizes(sizes[0], sizes[1], sizes[2]), seed);
        int different = 0;
        Prop.ForAll(gen.ToArbitrary(), draw =>
        {
            using var step = Step.Recording(device);
            var shape = input(draw.Sizes);
            var v = step.Watch(Random(step, shape, draw.seed));
            var w = Random(step, shape, draw.seed + 1);
            var jv = apply(v, draw.Sizes);
            var jw = apply(w, draw.Sizes);
            var both = apply(Op.Affine(v, 0.75) + Op.Affine(w, -2.5), draw.Sizes).ToDoubles();
            var u = Random(step, jv.Shape, draw.seed + 2);
            using var store = new GradStore();
            step.Tape.Backward(jv, u, store);
            double[] fv = jv.ToDoubles(), fw = jw.ToDoubles();
            for (int i = 0; i < both.Length; i++)
                Assert.Equal((0.75 * fv[i]) - (2.5 * fw[i]), both[i], 1e-10);
            double left = Dot(fv, u.ToDoubles()), right = Dot(v.ToDoubles(), store.Of(v)!.ToDoubles());
            Assert.Equal(left, right, 1e-9);
            different += Math.Abs(left) > 1e-6 ? 1 : 0;
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases));
        // An inner product of zero would say nothing.
        Assert.InRange(different, Cases / 2, Cases);
    }

    [Fact]
    public void Attention_without_positions_permutes_with_its_queries_and_ignores_the_order_of_its_keys()
    {
        using var device = new CpuDevice(1);
        var gen =
            from n in Gen.Choose(2, 9)
            from seed in Gen.Choose(0, 1_000_000)
            select (n, seed);
        Prop.ForAll(gen.ToArbitrary(), draw =>
        {
            using var step = Step.Evaluation(device);
            var (q, k, v) = (
                Random(step, [draw.n, 4], draw.seed), Random(step, [draw.n, 4], draw.seed + 1), Random(step, [draw.n, 3], draw.seed + 2));
            var order = Enumerable.Range(0, draw.n).Select(i => (long)i).ToArray();
            new Random(draw.seed).Shuffle(order);
            var index = step.From(order, [draw.n]);
            Tensor Permuted(Tensor x) => Op.IndexSelect(x, 0, index);
            var expected = Permuted(Op.Attention(q, k, v)).ToDoubles();
            var actual = Op.Attention(Permuted(q), Permuted(k), Permuted(v)).ToDoubles();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-12);
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases));
    }

    private static Tensor Random(Step step, Shape shape, int seed) => OpInput.Uniform(-2, 2, shape).Make(step, seed, DType.F64);

    private static Tensor Constant(Tensor like, Shape shape) => Random(like.Step!, shape, 4711);

    private static Tensor Indices(Tensor like, Shape shape, int count) =>
        new OpInput(shape, DType.I64, 0, count).Make(like.Step!, 4711, DType.F64);

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private sealed record Sizes(int A, int B, int C);
}
