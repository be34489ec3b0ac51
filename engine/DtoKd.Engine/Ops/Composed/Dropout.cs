using System.Numerics;
using DtoKd.Engine.Cpu;
using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>
    /// In a training step, each element is 0 with probability p and x / (1 - p) otherwise (Srivastava et al.: "Dropout", 2014);
    /// outside of training, x itself.
    /// </summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="p">In 0 .. 1.</param>
    /// <returns>A tensor of x's shape. Which elements are dropped depends on the step's seed and number, and on how many random
    /// operations came before in it.</returns>
    /// <exception cref="ArgumentException">p is no probability.</exception>
    public static Tensor Dropout(Tensor x, double p)
    {
        const string op = "dropout";
        var step = Step.Of(op, x);
        RequireProbability(op, x, p);
        if (!step.IsTraining || p == 0)
            return x;
        x = Contiguous(x);
        var kept = step.New(x.Shape, DType.Bool, op);
        Draw(kept, step.NextRandom(), 1 - p, 1);
        var node = new DropoutNode(kept, p == 1 ? 0 : 1 / (1 - p));
        var y = step.New(x.Shape, x.DType, op);
        node.Apply(x, y);
        if (step.Tracks(x))
            step.Record(y, node, x);
        else
            node.Release(step);
        return y;
    }

    /// <summary>
    /// In a training step, each sample is 0 with probability p and x / (1 - p) otherwise: stochastic depth of a residual branch
    /// (Huang et al.: "Deep networks with stochastic depth", 2016); outside of training, x itself.
    /// </summary>
    /// <param name="x">[N, ...] floats.</param>
    /// <param name="p">In 0 .. 1.</param>
    /// <returns>A tensor of x's shape. Which samples are dropped depends on the step's seed and number, and on how many random
    /// operations came before in it.</returns>
    /// <exception cref="ArgumentException">p is no probability, or x a scalar.</exception>
    public static Tensor DropPath(Tensor x, double p)
    {
        const string op = "drop_path";
        var step = Step.Of(op, x);
        RequireProbability(op, x, p);
        if (x.Shape.Rank == 0)
            throw new ArgumentException($"{op}: needs [N, ...], got a scalar");
        return step.IsTraining && p != 0 ? DropSamples(x, p, step.NextRandom()) : x;
    }

    private static Tensor DropSamples(Tensor x, double p, PhiloxStream random)
    {
        const string op = "drop_path";
        var step = x.Step!;
        var shape = x.Shape;
        for (int axis = 1; axis < shape.Rank; axis++)
            shape = shape.With(axis, 1);
        var factor = step.New(shape, x.DType, op);
        Draw(factor, random, 1 - p, p == 1 ? 0 : 1 / (1 - p));
        var y = Pointwise.Broadcast(op, x, factor, default(Times));
        if (step.Tracks(x))
            step.Record(y, new DropPathNode(factor), x);
        return y;
    }

    private static void RequireProbability(string op, Tensor x, double p)
    {
        Pointwise.RequireFloat(op, x);
        if (p is not (>= 0 and <= 1))
            throw new ArgumentException($"{op}: p is {p}, expected a probability 0 .. 1");
    }

    /// <summary>Sets each element to <paramref name="value"/> with probability <paramref name="keep"/> and to 0 otherwise.</summary>
    private static void Draw(Tensor drawn, PhiloxStream random, double keep, double value)
    {
        ulong limit = LimitOf(keep);
        if (!drawn.Device.IsHost)
            Gpu.DropoutGpu.Draw(drawn, random, limit, value);
        else if (drawn.DType == DType.Bool)
            Draw<bool>(drawn, random, limit, true);
        else if (drawn.DType == DType.F64)
            Draw<double>(drawn, random, limit, value);
        else
            Draw<float>(drawn, random, limit, (float)value);
    }

    /// <summary>What random words must be below.</summary>
    // A word is below the product if and only if it is below the next whole number.
    private static ulong LimitOf(double keep) => (ulong)Math.Ceiling(keep * (1L << 32));

    // An element's number is a function of its index, so blocks may be drawn in any order. What is random is looked up, here and
    // below: a branch would be guessed wrong wherever it changes.
    private static void Draw<T>(Tensor drawn, PhiloxStream random, ulong limit, T value)
        where T : unmanaged
    {
        const int Block = 256;
        T* to = drawn.Pointer<T>();
        ((CpuDevice)drawn.Device).Team.ForRange(drawn.Count, 16 * Block, (start, end) =>
        {
            Span<uint> words = stackalloc uint[Block];
            T* values = stackalloc T[] { default, value };
            for (long at = start; at < end; at += Block)
            {
                int count = (int)Math.Min(Block, end - at);
                random.FillUInt32(words[..count], (ulong)at);
                for (int i = 0; i < count; i++)
                    to[at + i] = values[words[i] < limit ? 1 : 0];
            }
        });
    }

    /// <summary>y = x factor where kept, 0 elsewhere; all contiguous.</summary>
    private static void Apply(Tensor x, Tensor kept, double factor, Tensor y)
    {
        if (!x.Device.IsHost)
            Gpu.DropoutGpu.Apply(x, kept, (float)factor, y);
        else if (x.DType == DType.F64)
            Apply<double>(x, kept, factor, y);
        else
            Apply<float>(x, kept, (float)factor, y);
    }

    private static void Apply<T>(Tensor x, Tensor kept, T factor, Tensor y)
        where T : unmanaged, IFloatingPoint<T>
    {
        T* from = x.Pointer<T>(), to = y.Pointer<T>();
        bool* mask = kept.Pointer<bool>();
        ((CpuDevice)x.Device).Team.ForRange(x.Count, 16384, (start, end) =>
        {
            T* factors = stackalloc T[] { T.Zero, factor };
            for (long i = start; i < end; i++)
                to[i] = from[i] * factors[mask[i] ? 1 : 0];
        });
    }

    /// <summary>
    /// Both ways: times 1 / (1 - p) where the element was kept, times 0 elsewhere. The mask is one byte an element.
    /// </summary>
    private sealed class DropoutNode : Node
    {
        private readonly Tensor _kept;
        private readonly double _factor;

        public DropoutNode(Tensor kept, double factor)
        {
            _kept = Save(kept);
            _factor = factor;
        }

        public override string Name => "dropout";

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var dx = into.Over(dy);
            Apply(dy, dx);
            into.Give(0, dx);
        }

        public void Apply(Tensor x, Tensor y) => Op.Apply(x, _kept, _factor, y);
    }

    private sealed class DropPathNode : Node
    {
        private readonly Tensor _factor;

        public DropPathNode(Tensor factor) => _factor = Save(factor);

        public override string Name => "drop_path";

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, Mul(dy, _factor));
    }

    // The samples run outside of training, where nothing is dropped; the tests of masks stand in DropoutTests.
    internal static OpDeclaration DropoutDeclaration => Dropping(nameof(Dropout), Dropout);

    internal static OpDeclaration DropPathDeclaration => Dropping(nameof(DropPath), DropPath);

    private static OpDeclaration Dropping(string name, Func<Tensor, double, Tensor> op) => new(name)
    {
        Samples =
        [
            new("outside of training", [Float(3, 5)], t => op(t[0], 0.4)),
            new("p = 1, outside of training", [Float(3, 5)], t => op(t[0], 1)),
        ],
        Errors =
        [
            new("p too large", [Float(3, 5)], t => op(t[0], 1.1), "p is 1.1"),
            new("p is NaN", [Float(3, 5)], t => op(t[0], double.NaN), "p is NaN"),
            new("integers", [Index(3, 5)], t => op(t[0], 0.1), "needs a float tensor"),
        ],
    };
}
