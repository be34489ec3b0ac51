using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// y = shortcut + <see cref="DropPath"/>(branch(x), p): a residual block with stochastic depth (Huang et al.: "Deep networks with
    /// stochastic depth", 2016). On the CPU only the samples that keep their branch go through it, so that dropped ones cost
    /// nothing, forward and backward (as in Oquab et al.: "DINOv2", 2023).
    /// </summary>
    /// <param name="x">[N, ...] floats.</param>
    /// <param name="branch">
    /// From [n, ...] to what is added to so many samples of the shortcut, of their shape, each sample by itself; n is the number of
    /// samples kept, which may be 0. A tensor will do; a branch that ends in a product says <see cref="Addend.Linear"/> or
    /// <see cref="Addend.Mlp"/>, and the shortcut is added where the sums are made.
    /// </param>
    /// <param name="p">In 0 .. 1; counts in training steps only.</param>
    /// <param name="shortcut">[N, ...], what the branch's result is added to; x when null.</param>
    /// <returns>A tensor of the shortcut's shape. Which samples are dropped depends on the step's seed and number, and on how many
    /// random operations came before in it.</returns>
    /// <exception cref="ArgumentException">p is no probability, x a scalar, or the branch's shape is not the shortcut's.</exception>
    public static Tensor Residual(Tensor x, Func<Tensor, Addend> branch, double p = 0, Tensor? shortcut = null)
    {
        const string op = "residual";
        var step = Step.Of(op, x, shortcut);
        RequireProbability(op, x, p);
        if (x.Shape.Rank == 0)
            throw new ArgumentException($"{op}: needs [N, ...], got a scalar");
        shortcut ??= x;
        if (!step.IsTraining || p == 0)
            return BranchOf(branch(x).AddTo(shortcut), shortcut.Shape);
        var random = step.NextRandom();
        // A card's kernels are chosen, and timed, by shape: there all samples take part. So they do where costs are planned.
        if (!step.Device.IsHost || !step.Device.Computes)
            return Add(shortcut, BranchOf(DropSamples(branch(x).AddTo(null), p, random), shortcut.Shape));

        var kept = new SampleRuns(x.Shape[0], random, p);
        var samples = kept.Dropped == 0 ? x : Take(step, x, kept);
        var added = BranchOf(branch(samples).AddTo(null), shortcut.Shape.With(0, samples.Shape[0]));
        var y = step.New(shortcut.Shape, x.DType, op);
        kept.AddTo(step, y, shortcut, added);
        if (step.Tracks(shortcut, added))
            step.Record(y, new ResidualNode(kept), shortcut, added);
        return y;
    }

    /// <summary>What a branch has made, if it has the right shape.</summary>
    internal static Tensor BranchOf(Tensor y, Shape shape) => y.Shape == shape
        ? y
        : throw new ArgumentException($"residual: the branch makes {y.Shape} of {shape}, expected the same shape");

    /// <summary>The samples that are kept.</summary>
    private static Tensor Take(Step step, Tensor x, SampleRuns kept)
    {
        var y = step.New(x.Shape.With(0, x.Shape[0] - kept.Dropped), x.DType, "take_samples");
        kept.Take(step, x, y, 1);
        if (step.Tracks(x))
            step.Record(y, new TakeNode(kept), x);
        return y;
    }

    /// <summary>Neighbouring samples with the same fate, in order.</summary>
    private sealed class SampleRuns
    {
        private readonly List<(int First, int Count, bool Kept)> _runs = [];
        private readonly double _factor;

        /// <summary>Draws as <see cref="DropPath"/> does.</summary>
        public SampleRuns(int samples, PhiloxStream random, double p)
        {
            ulong limit = LimitOf(1 - p);
            // Not used where everything is dropped.
            _factor = 1 / (1 - p);
            for (int i = 0; i < samples; i++)
            {
                bool kept = random.UInt32((ulong)i) < limit;
                Dropped += kept ? 0 : 1;
                if (_runs.Count > 0 && _runs[^1] is var last && last.Kept == kept)
                    _runs[^1] = last with { Count = last.Count + 1 };
                else
                    _runs.Add((i, 1, kept));
            }
        }

        /// <summary>How many samples are dropped.</summary>
        public int Dropped { get; }

        /// <summary>y = x + added / (1 - p) where kept, x elsewhere.</summary>
        public void AddTo(Step step, Tensor y, Tensor x, Tensor added)
        {
            int at = 0;
            foreach (var (first, count, kept) in _runs)
            {
                Tensor from = Samples(step, x, first, count), to = Samples(step, y, first, count);
                if (!kept)
                {
                    Copy(from, to, accumulate: false);
                    continue;
                }

                var summand = Samples(step, added, at, count);
                Pointwise.Run(new AddTimes(_factor), to, from, summand, summand);
                at += count;
            }
        }

        /// <summary>y = the kept ones of x / (1 - p): the gradient of what was added.</summary>
        public void TakeScaled(Step step, Tensor x, Tensor y) => Take(step, x, y, _factor);

        /// <summary>y = the kept ones of x, times a factor.</summary>
        public void Take(Step step, Tensor x, Tensor y, double factor)
        {
            int at = 0;
            foreach (var (first, count, kept) in _runs)
            {
                if (!kept)
                    continue;
                Tensor from = Samples(step, x, first, count), to = Samples(step, y, at, count);
                Pointwise.Run(new AffineFormula(factor, 0), to, from, from, from);
                at += count;
            }
        }

        /// <summary>The kept ones of y += x.</summary>
        public void PutBack(Step step, Tensor x, Tensor y)
        {
            int at = 0;
            foreach (var (first, count, kept) in _runs)
            {
                if (!kept)
                    continue;
                Copy(Samples(step, x, at, count), Samples(step, y, first, count), accumulate: true);
                at += count;
            }
        }

        private static Tensor Samples(Step step, Tensor x, int first, int count) => Part(step, x, 0, first, first + count);
    }

    private readonly struct AddTimes(double factor) : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.MultiplyAdd(V.Of(factor), b, a);
    }

    /// <summary>dx = dy; what was added gets dy / (1 - p) of the samples kept.</summary>
    private sealed class ResidualNode(SampleRuns kept) : Node
    {
        public override string Name => "residual";

        public override void Backward(Tensor dy, Gradients into)
        {
            into.Give(0, dy);
            if (!into.Wants(1))
                return;
            var target = into.Step.New(dy.Shape.With(0, dy.Shape[0] - kept.Dropped), dy.DType, Name);
            kept.TakeScaled(into.Step, dy, target);
            into.Give(1, target);
        }
    }

    private sealed class TakeNode(SampleRuns kept) : Node
    {
        public override string Name => "take_samples";

        public override void Backward(Tensor dy, Gradients into)
        {
            var target = into.Target(0);
            if (!target.Accumulate)
                target.Tensor.Clear();
            kept.PutBack(into.Step, dy, target.Tensor);
        }
    }

    // The samples run outside of training, where nothing is dropped; the tests of dropped samples stand in ResidualTests.
    internal static OpDeclaration ResidualDeclaration => new(nameof(Residual))
    {
        Samples =
        [
            new("outside of training", [Float(3, 5), Float(5)], t => Residual(t[0], x => Mul(x, t[1]), 0.4)),
            new("input as it is", [Float(3, 5)], t => Residual(t[0], x => x)),
            new("a product", [Float(4, 5), Float(5, 5), Float(5)], t => Residual(t[0], x => Addend.Linear(x, t[1], t[2]))),
            new("a perceptron", [Float(4, 5), Float(7, 5), Float(7), Float(5, 7), Float(5)],
                t => Residual(t[0], x => Addend.Mlp(x, t[1], t[2], t[3], t[4]))),
            new("no samples", [Float(0, 5)], t => Residual(t[0], x => Exp(x))),
        ],
        Errors =
        [
            new("shape", [Float(3, 5)], t => Residual(t[0], x => Sum(x, [1])), "the branch makes [3] of [3, 5]"),
            new("shape of a product", [Float(3, 5), Float(4, 5)], t => Residual(t[0], x => Addend.Linear(x, t[1])),
                "linear: residual has shape [3, 5], expected [3, 4]"),
            new("scalar", [Float()], t => Residual(t[0], x => x), "needs [N, ...]"),
            new("p is NaN", [Float(3, 5)], t => Residual(t[0], x => x, double.NaN), "p is NaN"),
            new("integers", [Index(3, 5)], t => Residual(t[0], x => x), "needs a float tensor"),
        ],
    };
}
