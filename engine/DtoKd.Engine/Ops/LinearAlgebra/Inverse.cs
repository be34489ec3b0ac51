namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>y = a^-1, by elimination with partial pivoting, in double precision for either type.</summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <returns>[..., n, n].</returns>
    /// <exception cref="ArgumentException">No square matrices, or a pivot is exactly 0: the message names matrix and
    /// pivot.</exception>
    public static Tensor Inverse(Tensor a)
    {
        const string op = "inverse";
        var step = Step.Of(op, a);
        int n = RequireSquare(op, a);
        using var work = Widen(step, a);
        using var result = Widen(step, Expand(Eye(step, n, work.DType), a.Shape));
        SolveInPlace(op, work, result);
        var y = Narrow(step, result, a.DType, op);
        if (step.Tracks(a))
            step.Record(y, new InverseNode(y), a);
        return y;
    }

    /// <summary>da = -y^T dy y^T (Giles: "Collected matrix derivative results", 2008, section 2.2.3).</summary>
    private sealed class InverseNode : Node
    {
        private readonly Tensor _y;

        public InverseNode(Tensor y) => _y = Save(y);

        public override string Name => "inverse";

        public override void Backward(Tensor dy, Gradients into)
        {
            var transposed = Transpose(Widen(into.Step, _y), -1, -2);
            var da = Neg(MatMul(MatMul(transposed, Widen(into.Step, dy)), transposed));
            into.Give(0, Narrow(into.Step, da, dy.DType, Name));
        }
    }
}
