namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>a + b, element by element, with broadcasting.</summary>
    public static Tensor Add(Tensor a, Tensor b) => WeightedSum("add", a, b, default(AddFormula), 1, 1);

    /// <summary>a - b, element by element, with broadcasting.</summary>
    public static Tensor Sub(Tensor a, Tensor b) => WeightedSum("sub", a, b, default(SubFormula), 1, -1);

    /// <summary>a * b, element by element, with broadcasting.</summary>
    public static Tensor Mul(Tensor a, Tensor b)
    {
        var y = Pointwise.Broadcast("mul", a, b, default(Times));
        var step = y.Step!;
        if (step.Tracks(a, b))
            step.Record(y, new MulNode(step.Tracks(b) ? a : null, step.Tracks(a) ? b : null), a, b);
        return y;
    }

    /// <summary>a / b, element by element, with broadcasting.</summary>
    public static Tensor Div(Tensor a, Tensor b) => Pointwise.Binary("div", a, b, default(DivFormula));

    /// <summary>factor * x + summand.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="factor">The factor.</param>
    /// <param name="summand">The summand.</param>
    public static Tensor Affine(Tensor x, double factor, double summand = 0)
    {
        var step = Step.Of("affine", x);
        Pointwise.RequireFloat("affine", x);
        var y = step.New(x.Shape, x.DType, "affine");
        Pointwise.Run(new AffineFormula(factor, summand), y, x, x, x);
        if (step.Tracks(x))
            step.Record(y, new WeightedSumNode("affine", factor), x);
        return y;
    }

    private static Tensor WeightedSum<TFormula>(string op, Tensor a, Tensor b, TFormula formula, double slopeA, double slopeB)
        where TFormula : struct, IMap
    {
        var y = Pointwise.Broadcast(op, a, b, formula);
        if (y.Step!.Tracks(a, b))
            y.Step.Record(y, new WeightedSumNode(op, slopeA, slopeB), a, b);
        return y;
    }

    /// <summary>da = dy b and db = dy a, each summed over the axes along which the factor was broadcast.</summary>
    private sealed class MulNode : Node
    {
        private readonly Tensor? _a;
        private readonly Tensor? _b;

        /// <summary>Saves a factor for the gradient of the other; null where nobody wants that.</summary>
        public MulNode(Tensor? a, Tensor? b)
        {
            _a = a is null ? null : Save(a);
            _b = b is null ? null : Save(b);
        }

        public override string Name => "mul";

        public override void Backward(Tensor dy, Gradients into)
        {
            if (_b is not null)
                into.Give(0, Product(dy, _b, _a is null ? into.Over(dy) : into.Step.New(dy.Shape, dy.DType, Name), Inputs[0].Shape));
            if (_a is not null)
                into.Give(1, Product(dy, _a, into.Over(dy), Inputs[1].Shape));
        }

        private static Tensor Product(Tensor dy, Tensor factor, Tensor product, Shape shape)
        {
            Pointwise.Run(default(Times), product, dy, factor, factor);
            return SumTo(product, shape);
        }
    }

    internal readonly struct AddFormula : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => a + b;
    }

    internal readonly struct SubFormula : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => a - b;
    }

    /// <summary>The slopes are constant: there is nothing to save.</summary>
    private sealed class WeightedSumNode(string op, params double[] slopes) : Node
    {
        public override string Name => op;

        public override void Backward(Tensor dy, Gradients into)
        {
            for (int i = 0; i < slopes.Length; i++)
            {
                if (into.Wants(i))
                    into.Give(i, SumTo(slopes[i] == 1 ? dy : Scaled(dy, i, into), Inputs[i].Shape));
            }
        }

        private Tensor Scaled(Tensor dy, int i, Gradients into)
        {
            var scaled = i == slopes.Length - 1 ? into.Over(dy) : into.Step.New(dy.Shape, dy.DType, Name);
            Pointwise.Run(new AffineFormula(slopes[i], 0), scaled, dy, dy, dy);
            return scaled;
        }
    }

    internal readonly struct DivFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => a / b;

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => V.Of(1) / b;

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => -a / (b * b);
    }

    internal readonly struct AffineFormula(double factor, double summand) : IMap
    {
        public static int Arity => 1;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.MultiplyAdd(V.Of(factor), a, V.Of(summand));
    }
}
