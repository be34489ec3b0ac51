namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>a + b, element by element, with broadcasting.</summary>
    public static Tensor Add(Tensor a, Tensor b) => WeightedSum("add", a, b, default(AddFormula), 1, 1);

    /// <summary>a - b, element by element, with broadcasting.</summary>
    public static Tensor Sub(Tensor a, Tensor b) => WeightedSum("sub", a, b, default(SubFormula), 1, -1);

    /// <summary>a * b, element by element, with broadcasting.</summary>
    public static Tensor Mul(Tensor a, Tensor b) => Pointwise.Binary("mul", a, b, default(MulFormula));

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
                    into.Give(i, SumTo(slopes[i] == 1 ? dy : Affine(dy, slopes[i]), Inputs[i].Shape));
            }
        }
    }

    internal readonly struct MulFormula : IBinary
    {
        public V Value<V>(V a, V b)
            where V : unmanaged, ILane<V> => a * b;

        public V SlopeA<V>(V a, V b)
            where V : unmanaged, ILane<V> => b;

        public V SlopeB<V>(V a, V b)
            where V : unmanaged, ILane<V> => a;
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
