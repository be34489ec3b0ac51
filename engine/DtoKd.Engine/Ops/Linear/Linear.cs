namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>y = x W^T + b, applied to the last axis.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null for none.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
    {
        var step = Step.Of("linear", x, weight, bias);
        Pointwise.RequireFloat("linear", x);
        Pointwise.RequireSameType("linear", x, weight);
        if (weight.Shape.Rank != 2 || x.Shape.Rank == 0 || x.Shape[^1] != weight.Shape[1])
            throw new ArgumentException($"linear: got x {x.Shape} and weight {weight.Shape}, expected [..., in] and [out, in]");
        if (bias is not null)
        {
            Pointwise.RequireSameType("linear", x, bias);
            if (bias.Shape != [weight.Shape[0]])
                throw new ArgumentException($"linear: bias has shape {bias.Shape}, expected [{weight.Shape[0]}]");
            bias = Contiguous(bias);
        }

        x = Contiguous(x);
        var y = step.New(x.Shape.With(-1, weight.Shape[0]), x.DType, "linear");
        using (step.OwnScope())
            MatMulKernels.For(y).Product(AsRows(step, x), Transposed(step, weight), bias, AsRows(step, y), accumulate: false);
        if (step.Tracks(x, weight, bias))
            step.Record(y, new LinearNode(x, weight), x, weight, bias);
        return y;
    }

    /// <summary>dx = dy W, dW = dy^T x, db = the sum of dy's rows.</summary>
    private sealed class LinearNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor _weight;

        public LinearNode(Tensor x, Tensor weight)
        {
            _x = Save(x);
            _weight = Save(weight);
        }

        public override string Name => "linear";

        public override long MultiplyAdds => _x.Count * _weight.Shape[0];

        public override void Backward(Tensor dy, Gradients into)
        {
            var kernels = MatMulKernels.For(_x);
            var rows = AsRows(into.Step, Contiguous(dy));
            if (into.Wants(0))
            {
                var target = into.Target(0);
                kernels.Product(rows, _weight, null, AsRows(into.Step, target.Tensor), target.Accumulate);
            }

            if (into.Wants(1))
            {
                var target = into.Target(1);
                kernels.Product(Transposed(into.Step, rows), AsRows(into.Step, _x), null, target.Tensor, target.Accumulate);
            }

            if (into.Wants(2))
            {
                var target = into.Target(2);
                if (target.Accumulate)
                    into.Give(2, Sum(rows, [0]));
                else
                    SumKernels.For(rows).Sum(rows, target.Tensor, 1, rows.Shape[0], rows.Shape[1]);
            }
        }
    }
}
