namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>The x with a x = b, by elimination with partial pivoting, in double precision for either type.</summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <param name="b">Right-hand sides in columns, [..., n, k] with a's leading axes.</param>
    /// <returns>[..., n, k].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a pivot is exactly 0: the message names matrix and
    /// pivot.</exception>
    public static Tensor Solve(Tensor a, Tensor b)
    {
        const string op = "solve";
        var step = Step.Of(op, a, b);
        RequireSquare(op, a);
        Pointwise.RequireSameType(op, a, b);
        if (b.Shape.Rank != a.Shape.Rank || b.Shape.Without(-1) != a.Shape.Without(-1))
            throw new ArgumentException($"{op}: got shapes {a.Shape} and {b.Shape}, expected [..., n, n] and [..., n, k]");
        using var work = Widen(step, a);
        using var result = Widen(step, b);
        SolveInPlace(op, work, result);
        var x = Narrow(step, result, a.DType, op);
        if (step.Tracks(a, b))
            step.Record(x, new SolveNode(a, x), a, b);
        return x;
    }

    /// <summary>db = a^-T dx, da = -db x^T (Giles: "Collected matrix derivative results", 2008, section 2.3.1).</summary>
    private sealed class SolveNode : Node
    {
        private readonly Tensor _a;
        private readonly Tensor _x;

        public SolveNode(Tensor a, Tensor x)
        {
            _a = Save(a);
            _x = Save(x);
        }

        public override string Name => "solve";

        public override void Backward(Tensor dx, Gradients into)
        {
            var db = Widen(into.Step, dx);
            SolveInPlace(Name, Widen(into.Step, Transposed(into.Step, _a)), db);
            if (into.Wants(0))
            {
                var da = Neg(MatMul(db, Transpose(Widen(into.Step, _x), -1, -2)));
                into.Give(0, Narrow(into.Step, da, dx.DType, Name));
            }

            if (into.Wants(1))
                into.Give(1, Narrow(into.Step, db, dx.DType, Name));
        }
    }
}
