namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>y = x W^T + b + residual, applied to the last axis.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null for none.</param>
    /// <param name="residual">Of the result's shape, or null for none.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null, Tensor? residual = null)
    {
        const string op = "linear";
        var step = Step.Of(op, x, weight, bias, residual);
        Pointwise.RequireFloat(op, x);
        var shape = LinearShape(op, x.Shape, weight, bias, x);
        Require.Shape(op, "residual", residual, shape, x);
        x = Contiguous(x);
        bias = bias is null ? null : Contiguous(bias);
        residual = residual is null ? null : Contiguous(residual);
        var y = step.New(shape, x.DType, op);
        using var own = step.OwnScope();
        Multiply(step, x, weight, bias, y, ProductEnd.Add(AsRows(step, residual)));
        if (step.Tracks(x, weight, bias, residual))
            step.Record(y, new LinearNode(op, x, weight), x, weight, bias, residual);
        return y;
    }

    /// <summary>The result's shape, if weight and bias fit rows of <paramref name="input"/> and the type of x.</summary>
    private static Shape LinearShape(string op, Shape input, Tensor weight, Tensor? bias, Tensor x)
    {
        Pointwise.RequireSameType(op, x, weight);
        if (weight.Shape.Rank != 2 || input.Rank == 0 || input[^1] != weight.Shape[1])
            throw new ArgumentException($"{op}: got x {input} and weight {weight.Shape}, expected [..., in] and [out, in]");
        Require.Shape(op, "bias", bias, [weight.Shape[0]], x);
        return input.With(-1, weight.Shape[0]);
    }

    /// <summary>y = x W^T + b, and what follows; all contiguous but W.</summary>
    private static void Multiply(Step step, Tensor x, Tensor weight, Tensor? bias, Tensor y, ProductEnd end) =>
        MatMulKernels.For(y).Product(AsRows(step, x), Transposed(step, weight), bias, AsRows(step, y), accumulate: false, end);

    /// <summary>dx = dy W, dW = dy^T x, db = the sum of dy's rows; the residual gets dy.</summary>
    private sealed class LinearNode : Node
    {
        private readonly Tensor _x;
        private readonly Tensor _weight;
        private readonly Tensor? _slope;

        /// <param name="op">The operation's name.</param>
        /// <param name="x">The input.</param>
        /// <param name="weight">The weight.</param>
        /// <param name="slope">
        /// Of the function that x is the result of, for a tape on which x stands for what it was applied to: then dx = dy W slope.
        /// The node must be the only reader of x.
        /// </param>
        public LinearNode(string op, Tensor x, Tensor weight, Tensor? slope = null)
        {
            Name = op;
            _x = Save(x);
            _weight = Save(weight);
            _slope = slope is null ? null : Save(slope);
        }

        public override string Name { get; }

        public override long MultiplyAdds => _x.Count * _weight.Shape[0];

        public override void Backward(Tensor dy, Gradients into)
        {
            var kernels = MatMulKernels.For(_x);
            var rows = AsRows(into.Step, Contiguous(dy));
            if (into.Wants(0))
            {
                var target = into.Target(0);
                var end = ProductEnd.Times(AsRows(into.Step, _slope));
                kernels.Product(rows, _weight, null, AsRows(into.Step, target.Tensor), target.Accumulate, end);
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

            into.Give(3, dy);
        }
    }
}
